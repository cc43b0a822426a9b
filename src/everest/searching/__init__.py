"""Search among vectors: like a query, like each other, in clusters."""
