-- Compare the server with the one whose counters these are. Run before any other script is loaded: a server that
-- restarted, failed over or was replaced knows no scripts, so it cannot answer `take` before it was compared.
--
-- KEYS  [1] the marker
-- ARGV  server: its run and replication id
-- Returns 1 when it is the same; 0 when the counters must be rebuilt.

if redis.call('HGET', KEYS[1], 'server') == ARGV[1] then return 1 end
redis.call('HDEL', KEYS[1], 'epoch')
return 0
