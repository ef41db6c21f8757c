package osenv

import (
	"sync"

	"github.com/reprise-mq/reprise/broker/env"
)

// What the world may put before a process between two bursts. A message larger
// than the bound in bytes comes in alone.
const (
	maxArrivals     = 2048
	maxArrivalBytes = 16 << 20
)

// event is one call of a process.
type event func(env.Process)

// inbox is what happened since the last burst. Arrivals wait for room; answers to
// the process's own calls always find it, since the process bounds those itself.
type inbox struct {
	mu     sync.Mutex
	room   sync.Cond
	ready  chan struct{} // has a token when events came, or the inbox was closed
	closed bool

	events   []event
	arrivals int                   // at most maxArrivals
	bytes    int                   // of the arrivals
	losses   map[env.Endpoint]bool // a Lost of the endpoint is among the events
}

func newInbox() *inbox {
	b := &inbox{ready: make(chan struct{}, 1), losses: make(map[env.Endpoint]bool)}
	b.room.L = &b.mu
	return b
}

// arrive waits for room and adds an event of a size; false if the inbox is closed.
func (b *inbox) arrive(size int, e event) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && (b.arrivals >= maxArrivals || b.bytes > 0 && b.bytes+size > maxArrivalBytes) {
		b.room.Wait()
	}
	if b.closed {
		return false
	}
	b.arrivals++
	b.bytes += size
	b.add(e)
	return true
}

// answer adds an event at once.
func (b *inbox) answer(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.add(e)
	}
}

// lose adds the loss of an endpoint, unless one is there that has not come to the
// process yet.
func (b *inbox) lose(peer env.Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && !b.losses[peer] {
		b.losses[peer] = true
		b.add(func(p env.Process) { p.Lost(peer) })
	}
}

func (b *inbox) add(e event) {
	b.events = append(b.events, e)
	if len(b.events) == 1 {
		b.notify()
	}
}

func (b *inbox) notify() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take empties the inbox into the spare slice and gives what was in it; false if
// the inbox is closed.
func (b *inbox) take(spare []event) ([]event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.events
	b.events = spare[:0]
	b.arrivals, b.bytes = 0, 0
	clear(b.losses)
	b.room.Broadcast()
	return taken, !b.closed
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.events = nil
	b.room.Broadcast()
	b.notify()
}
