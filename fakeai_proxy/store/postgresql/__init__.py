"""The store in PostgreSQL: what several machines share. Needs asyncpg (the extra `scale`)."""
