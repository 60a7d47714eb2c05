"""One module a revision, numbered; the number is what `store.migrations.HEAD` and the database compare."""
