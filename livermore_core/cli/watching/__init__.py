"""What `livermore watch` is made of: a table that follows a store, how it is drawn, and the keys that change that."""
