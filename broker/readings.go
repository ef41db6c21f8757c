package broker

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// readings bounds what fetches have in memory of what they read, so that those who ask for
// much that is old do not take all there is. Each takes from a budget what it may bring,
// until that is an answer, and waits for its turn where there is not enough. Who keeps up
// waits for nobody: what was appended just now is in memory already, unless it is too large for that.
type readings struct {
	// taken of maxReadingBytes; more only by those that did not wait.
	taken int
	// Fetches that wait for their turn, in the order they came; at most maxReadings. What
	// is done with by now may be among them.
	waiting []*poll
}

const (
	maxReadingBytes = 256 << 20
	// A fetch takes so many bytes at least: no fewer may be loaded at once, and a batch is
	// read whole.
	minReadingBytes = 1 << 20
	maxReadings     = 16384
)

func (p *poll) takes() int { return max(p.maxBytes, minReadingBytes) }

func (s *readings) haveRoom(p *poll) bool { return s.taken+p.takes() <= maxReadingBytes }

// admit has a fetch read when its turn has come.
func (n *Node) admit(p *poll) {
	s := &n.readings
	switch {
	case p.group.replica.Store().Recent(p.offset) || len(s.waiting) == 0 && s.haveRoom(p):
		n.readNow(p)
	case len(s.waiting) < maxReadings:
		s.waiting = append(s.waiting, p)
	default:
		p.refuse(api.Errorf(api.Code_OVERLOADED, "node %d has %d fetches of old records waiting already; retry after a pause", n.identity.node, len(s.waiting)))
	}
}

// readNow has a fetch read at once.
func (n *Node) readNow(p *poll) {
	n.readings.taken += p.takes()
	p.read(func() { n.readings.taken -= p.takes() })
}

// readOn has those read that there is room for by now. What others took is given back when
// the disk has answered, so it is called after that.
func (n *Node) readOn() {
	s := &n.readings
	for len(s.waiting) > 0 && s.haveRoom(s.waiting[0]) {
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		if !next.done {
			n.readNow(next)
		}
	}
}

// dropReadings forgets the fetches of a client that is gone and that wait for their turn.
func (n *Node) dropReadings(peer env.Endpoint) {
	n.readings.waiting = slices.DeleteFunc(n.readings.waiting, func(p *poll) bool { return p.caller.endpoint == peer })
}
