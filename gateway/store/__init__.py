"""Door: the database. SQL in named blocks, numbered migrations, one writer with group commit."""
