package rpc

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// pieceOverhead is what a queued message costs beside its bytes.
const pieceOverhead = 64

// outbox is what waits to be sent on a stream: encoded messages in order.
type outbox struct {
	mu       sync.Mutex
	changed  sync.Cond
	pieces   [][]byte
	bytes    int  // of the pieces with their overhead; at most maxQueued
	finished bool // nothing more is taken in
	ended    bool // done is closed
	dropped  bool // not all was given out
	overrun  bool // there was no room for a message
	// done is closed when all that will ever be sent has been sent, or dropped.
	done chan struct{}
}

func newOutbox() *outbox {
	o := &outbox{done: make(chan struct{})}
	o.changed.L = &o.mu
	return o
}

// put queues a message, or ends the outbox if there is no room for it. After the
// end it does nothing.
func (o *outbox) put(piece []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := len(piece) + pieceOverhead
	switch {
	case o.finished:
	case len(piece) > MaxMessage || o.bytes+size > maxQueued:
		o.overrun = true
		o.drop()
	default:
		o.pieces = append(o.pieces, piece)
		o.bytes += size
		o.changed.Broadcast()
	}
}

// next waits for messages and takes what fits into one write; false if nothing
// more will come. What it gave before must have been sent.
func (o *outbox) next() (encoded, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pieces) == 0 && !o.finished {
		o.changed.Wait()
	}
	if len(o.pieces) == 0 {
		o.end()
		return nil, false
	}
	var taken mem.BufferSlice
	bytes := 0
	for len(o.pieces) > 0 && (len(taken) == 0 || bytes+len(o.pieces[0]) <= maxWrite) {
		taken = append(taken, mem.SliceBuffer(o.pieces[0]))
		bytes += len(o.pieces[0])
		o.pieces[0] = nil
		o.pieces = o.pieces[1:]
	}
	o.bytes -= bytes + len(taken)*pieceOverhead
	o.changed.Broadcast()
	return encoded(taken), true
}

// awaitRoom waits until no more than so many bytes are queued.
func (o *outbox) awaitRoom(bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.bytes > bytes && !o.finished {
		o.changed.Wait()
	}
}

// queued is how many bytes wait to be sent.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// finish lets what is queued be sent, and nothing more.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	o.changed.Broadcast()
}

// abort drops what is queued.
func (o *outbox) abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
}

// hadRoom says whether there was room for every message so far.
func (o *outbox) hadRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.overrun
}

// drained says whether all there ever was has been given out, and no more will come.
func (o *outbox) drained() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended && !o.dropped
}

func (o *outbox) drop() {
	o.dropped = o.dropped || !o.ended
	o.pieces, o.bytes = nil, 0
	o.end()
}

func (o *outbox) end() {
	if !o.ended {
		o.finished, o.ended = true, true
		close(o.done)
		o.changed.Broadcast()
	}
}

// pump sends what is put into the outbox, until it has finished or send fails.
func (o *outbox) pump(send func(any) error) error {
	for {
		pieces, ok := o.next()
		if !ok {
			return nil
		}
		if err := send(pieces); err != nil {
			return err
		}
	}
}
