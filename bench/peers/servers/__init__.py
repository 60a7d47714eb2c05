"""The peers themselves: one file each. They run in environments of their own and import none of our rooms."""
