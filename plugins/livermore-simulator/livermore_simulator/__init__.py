"""A simulated exchange that speaks Coinbase's protocol on loopback, and livermore demo."""
