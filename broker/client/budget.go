package client

import (
	"context"
	"slices"
	"sync"
)

// budget bounds the produces under way and their bytes. Those that wait for room get
// it in the order in which they came.
type budget struct {
	mu sync.Mutex
	// limit of bytes; an operation of more goes alone.
	limit, bytes, calls int
	waiting             []*claim
	closed              bool
	// idle is closed once the budget is closed and nothing is under way.
	idle chan struct{}
}

// claim waits for room; answer gets nil, or ErrClosed.
type claim struct {
	bytes  int
	answer chan error
}

func newBudget(limit int) *budget { return &budget{limit: limit, idle: make(chan struct{})} }

// acquire takes room for an operation.
func (b *budget) acquire(ctx context.Context, bytes int) error {
	c := &claim{bytes: bytes, answer: make(chan error, 1)}
	b.claim(c)
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		b.withdraw(c)
		return ctx.Err()
	}
}

func (b *budget) claim(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.answer <- ErrClosed
		return
	}
	b.waiting = append(b.waiting, c)
	b.grant()
}

// withdraw takes a claim back, granted or not.
func (b *budget) withdraw(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := slices.Index(b.waiting, c); at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
		b.grant()
		return
	}
	if err := <-c.answer; err == nil {
		b.free(c.bytes)
	}
}

// release gives the room of an operation back.
func (b *budget) release(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free(bytes)
}

func (b *budget) free(bytes int) {
	b.calls--
	b.bytes -= bytes
	b.grant()
}

// grant gives room to those who wait, as far as there is any.
func (b *budget) grant() {
	for len(b.waiting) > 0 {
		c := b.waiting[0]
		if b.calls > 0 && (b.calls >= maxCalls || b.bytes+c.bytes > b.limit) {
			return
		}
		b.waiting = b.waiting[1:]
		b.calls++
		b.bytes += c.bytes
		c.answer <- nil
	}
	if b.closed && b.calls == 0 {
		b.rest()
	}
}

func (b *budget) rest() {
	select {
	case <-b.idle:
	default:
		close(b.idle)
	}
}

// close refuses what comes from now on and what waits, and gives a channel that
// is closed when nothing is under way.
func (b *budget) close() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, c := range b.waiting {
		c.answer <- ErrClosed
	}
	b.waiting = nil
	b.grant()
	return b.idle
}

func (b *budget) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}
