package client

import "time"

// AgeSpreads has the number of each topic's partitions asked for again.
func (c *Client) AgeSpreads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spread {
		s.until = time.Time{}
	}
}
