/* The far end of many calls: talks on each every 20 ms, presses keys, and times every packet that arrives.
 *
 *     far_end COUNT          binds COUNT UDP sockets on 127.0.0.1 and prints their ports as a JSON list
 *
 * Then it reads lines: `start SOCKET PORT KEYS` (talk to that port from now on; KEYS "-" for none), `stop SOCKET`, and
 * `end`, at which it prints what it saw as one JSON object. The times of arrival are the kernel's (SO_TIMESTAMPNS). A
 * frame is late when it came more than 30 ms after the one before it in its call. Keys are telephone events of payload
 * type 101 (RFC 4733), 100 ms down and 200 ms up, the first 1.5 s after the start. Written for Linux.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PHASES = 4, FRAME = 160, EVENT_TYPE = 101, KEY_DOWN = 5, KEY_FRAMES = 15, FIRST_KEY = 75, MOST_KEYS = 31 };
enum { BUCKETS = 20000, BUCKET_NS = 100000 };      /* gaps of up to 2 s in steps of 0.1 ms */
static const int64_t PHASE_NS = 5000000, LATE_NS = 30000000, SECOND_NS = 1000000000;
static const char DIGITS[] = "0123456789*#ABCD";

struct call {
    int fd, up;
    struct sockaddr_in to;
    char keys[MOST_KEYS + 1];
    uint32_t frame;                                /* frames sent since the start */
    uint16_t sequence;
    int64_t started_ns, last_ns, word_ns;          /* the system's clock; 0 for never */
    int heard_any;
    uint16_t highest;
};

static struct call *calls;
static int count;
static uint64_t histogram[BUCKETS], frames, late, sent, unsent, heard;
static int64_t missing, longest_ns, own_worst_ns;
static uint64_t own_late, ticks;
static float *words_ms;
static int words, up_now, up_most;
static uint8_t noise[8 * FRAME];

static int64_t now_ns(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * SECOND_NS + at.tv_nsec;
}

static void put32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
}

/* The payload of a key that is down or has just been let go; 0 where the frame is audio. */
static int key_payload(const struct call *call, uint8_t *payload, uint32_t *began) {
    if (call->frame < FIRST_KEY) return 0;
    uint32_t key = (call->frame - FIRST_KEY) / KEY_FRAMES, at = (call->frame - FIRST_KEY) % KEY_FRAMES;
    if (key >= strlen(call->keys) || at >= KEY_DOWN + 3) return 0;
    uint16_t lasted = htons(FRAME * (at < KEY_DOWN ? at + 1 : KEY_DOWN));
    payload[0] = strchr(DIGITS, call->keys[key]) - DIGITS;
    payload[1] = (at < KEY_DOWN ? 0 : 0x80) | 10;
    memcpy(payload + 2, &lasted, 2);
    *began = FIRST_KEY + key * KEY_FRAMES;
    return 4;
}

static void talk(struct call *call) {
    uint8_t packet[12 + FRAME] = {0x80, 0};
    uint32_t timestamp = call->frame * FRAME, began;
    int length = key_payload(call, packet + 12, &began);
    if (length) {
        timestamp = began * FRAME;
        packet[1] = EVENT_TYPE | (began == call->frame ? 0x80 : 0);
    } else {
        memcpy(packet + 12, noise + call->frame % 8 * FRAME, length = FRAME);
    }
    packet[2] = call->sequence >> 8;
    packet[3] = call->sequence & 0xff;
    put32(packet + 4, timestamp);
    put32(packet + 8, 0x10000000u + call->fd);
    call->sequence++;
    call->frame++;
    if (sendto(call->fd, packet, 12 + length, 0, (struct sockaddr *)&call->to, sizeof call->to) < 0) unsent++;
    else sent++;
}

static int64_t kernel_ns(struct msghdr *message) {
    for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each; each = CMSG_NXTHDR(message, each))
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec at;
            memcpy(&at, CMSG_DATA(each), sizeof at);
            return at.tv_sec * SECOND_NS + at.tv_nsec;
        }
    return now_ns(CLOCK_REALTIME);
}

/* RTCP (RFC 5761, section 4). It goes to the port after a call's audio, where another call of ours may listen. */
static int is_report(const uint8_t *data) {
    return data[1] >= 192 && data[1] <= 223;
}

static int is_silent(const uint8_t *payload, ssize_t length) {
    for (ssize_t n = 0; n < length; n++)
        if (payload[n] != 0xff && payload[n] != 0xd5) return 0;
    return 1;
}

static void judge(struct call *call, const uint8_t *data, ssize_t length, int64_t at_ns) {
    uint16_t sequence = data[2] << 8 | data[3];
    frames++;
    if (call->heard_any) {
        int64_t gap_ns = at_ns - call->last_ns, bucket = gap_ns / BUCKET_NS;
        late += gap_ns > LATE_NS;
        if (gap_ns > longest_ns) longest_ns = gap_ns;
        histogram[bucket < 0 ? 0 : bucket >= BUCKETS ? BUCKETS - 1 : bucket]++;
        uint16_t ahead = sequence - call->highest;
        if (ahead && ahead < 3000) {
            missing += ahead - 1;
            call->highest = sequence;
        } else missing -= ahead != 0;              /* counted before: the one after it overtook it */
    } else {
        heard++;
        call->highest = sequence;
    }
    call->heard_any = 1;
    call->last_ns = at_ns;
    if (!call->word_ns && !is_silent(data + 12, length - 12)) {
        call->word_ns = at_ns;
        words_ms[words++] = (at_ns - call->started_ns) / 1e6;
    }
}

static void take(struct call *call) {
    uint8_t data[2048], ancillary[128];
    struct iovec room = {data, sizeof data};
    struct msghdr message = {.msg_iov = &room, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof ancillary};
    ssize_t length = recvmsg(call->fd, &message, MSG_DONTWAIT);
    if (length >= 12 && call->up && !is_report(data)) judge(call, data, length, kernel_ns(&message));
}

static int obey(char *line) {
    int number, port;
    char keys[MOST_KEYS + 1];
    if (sscanf(line, "start %d %d %31s", &number, &port, keys) == 3 && number >= 0 && number < count) {
        struct call *call = &calls[number];
        call->to.sin_family = AF_INET;
        call->to.sin_port = htons(port);
        call->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        strcpy(call->keys, strcmp(keys, "-") ? keys : "");
        call->started_ns = now_ns(CLOCK_REALTIME);
        if (++up_now > up_most) up_most = up_now;
        call->up = 1;
    } else if (sscanf(line, "stop %d", &number) == 1 && number >= 0 && number < count && calls[number].up) {
        calls[number].up = 0;
        up_now--;
    }
    return strncmp(line, "end", 3) != 0;
}

/* Lines from standard input, in whatever pieces they come; false at `end` or where the input is over. */
static int listen_to_input(void) {
    static char held[1 << 16];
    static size_t length;
    ssize_t got = read(0, held + length, sizeof held - 1 - length);
    if (got == 0) return 0;
    if (got < 0) return 1;
    held[length += got] = 0;
    char *line = held, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        if (!obey(line)) return 0;
        line = end + 1;
    }
    length -= line - held;
    memmove(held, line, length);
    return 1;
}

static int by_size(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

static void report(void) {
    uint64_t gaps = 0, below = 0;
    int p99 = 0;
    for (int n = 0; n < BUCKETS; n++) gaps += histogram[n];
    for (; p99 < BUCKETS - 1 && below + histogram[p99] < gaps * 0.99; p99++) below += histogram[p99];
    qsort(words_ms, words, sizeof *words_ms, by_size);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"frames\": %lu, \"late_share\": %.5f, \"gap_ms_p99\": %.1f, \"gap_ms_max\": %.1f, \"missing\": %ld, "
           "\"calls_heard\": %lu, \"calls_at_once\": %d, \"calls_with_words\": %d, \"first_word_ms_p50\": %.1f, "
           "\"first_word_ms_max\": %.1f, \"far_end\": {\"sent\": %lu, \"unsent\": %lu, \"own_late_share\": %.5f, "
           "\"own_late_ms_max\": %.1f, \"cpu_s\": %.2f}}\n",
           frames, gaps ? (double)late / gaps : 0.0, p99 / 10.0, longest_ns / 1e6, missing, heard, up_most, words,
           words ? words_ms[words / 2] : 0.0, words ? words_ms[words - 1] : 0.0, sent, unsent,
           ticks ? (double)own_late / ticks : 0.0, own_worst_ns / 1e6, cpu_s);
}

static void open_sockets(int poll) {
    int on = 1;
    printf("[");
    for (int n = 0; n < count; n++) {
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof here;
        int fd = calls[n].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = n};
        if (fd < 0 || bind(fd, (struct sockaddr *)&here, size) || getsockname(fd, (struct sockaddr *)&here, &size) ||
            setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted)) {
            perror("far_end");
            exit(1);
        }
        printf(n ? ", %d" : "%d", ntohs(here.sin_port));
    }
    printf("]\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct rlimit files;
    struct epoll_event ready[512];
    count = argc > 1 ? atoi(argv[1]) : 0;
    calls = calloc(count + 1, sizeof *calls);
    words_ms = calloc(count + 1, sizeof *words_ms);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sched_param first = {.sched_priority = 2};
    if (sched_setscheduler(0, SCHED_RR, &first))   /* before the media process: this side must not be what is late */
        setpriority(PRIO_PROCESS, 0, -20);
    srand(1);
    for (size_t n = 0; n < sizeof noise; n++) noise[n] = 0x80 | rand() % 0x60;
    int poll = epoll_create1(0);
    open_sockets(poll);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    int64_t epoch = now_ns(CLOCK_MONOTONIC);
    for (int64_t tick = 0; listen_to_input(); tick++) {
        int64_t due = epoch + tick * PHASE_NS, behind;
        struct timespec until = {due / SECOND_NS, due % SECOND_NS};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        behind = now_ns(CLOCK_MONOTONIC) - due;
        ticks++;
        own_late += behind > 10000000;
        if (behind > own_worst_ns) own_worst_ns = behind;
        for (int n = tick % PHASES; n < count; n += PHASES)
            if (calls[n].up) talk(&calls[n]);
        for (int found; (found = epoll_wait(poll, ready, 512, 0)) > 0;)
            for (int n = 0; n < found; n++) take(&calls[ready[n].data.u32]);
    }
    report();
    return 0;
}
