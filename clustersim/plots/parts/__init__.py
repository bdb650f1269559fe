"""Parts that several plots of studies share: intervals, strips at the edges, small multiples."""
