"""Mathematics of the methods: pure functions on arrays that return frozen results."""
