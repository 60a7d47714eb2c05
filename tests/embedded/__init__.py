"""Tests of the embedded broker and database."""
