package broker

import "github.com/reprise-mq/reprise/broker/api"

// copies bounds the rate at which this node copies what others have, so that replicas that
// move leave disks and network to the records: a bucket of bytes that fills with time. A
// group asks for one piece after the other, so those that copy take turns.
type copies struct {
	// left may be asked for now, in bytes; below 0 after a piece larger than what there was.
	left int64
	// at is the uptime at which the bucket was last filled.
	at api.Milliseconds
	// What waits for its turn, a piece or two of each group.
	waiting []piece
}

type piece struct {
	bytes int
	ask   func()
}

// MaxCopyRate is the highest bound, in bytes a second.
const MaxCopyRate = 1 << 40

// A node that copied nothing for a while makes up for one part in so many of a second.
const copyBurst = 5

// afford asks for a piece when its turn has come.
func (n *Node) afford(bytes int, ask func()) {
	n.copies.waiting = append(n.copies.waiting, piece{bytes, ask})
	n.copyOn()
}

// refill is called from tick to tick.
func (n *Node) refill() {
	const second = 1000
	c, rate, now := &n.copies, n.cfg.CopyRate, n.uptime()
	c.left = min(c.left+rate*int64(now-c.at)/second, max(rate/copyBurst, 1))
	c.at = now
	n.copyOn()
}

// copyOn asks for the pieces that there is room for.
func (n *Node) copyOn() {
	c := &n.copies
	for len(c.waiting) > 0 && (c.left > 0 || n.cfg.CopyRate == 0) {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		if n.cfg.CopyRate > 0 {
			c.left -= int64(next.bytes)
		}
		next.ask()
	}
}
