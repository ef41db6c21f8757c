package osenv

import (
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// tally counts what happens to a process. Its fields are read after Stop or Do.
type tally struct {
	received, flushes, wakes int
	lost                     []env.Endpoint
	synced                   map[env.Ticket]error
	loaded                   map[env.Ticket][]byte
	each                     func() // at each Receive
}

func newTally() *tally {
	return &tally{synced: make(map[env.Ticket]error), loaded: make(map[env.Ticket][]byte), each: func() {}}
}

func (c *tally) Wake()                                     { c.wakes++ }
func (c *tally) Synced(t env.Ticket, err error)            { c.synced[t] = err }
func (c *tally) Loaded(t env.Ticket, data []byte, _ error) { c.loaded[t] = data }
func (c *tally) Listed(env.Ticket, []env.FileInfo, error)  {}
func (c *tally) Receive(from env.Endpoint, _ *api.Message) { c.received++; c.each() }
func (c *tally) Lost(peer env.Endpoint)                    { c.lost = append(c.lost, peer) }
func (c *tally) Flush()                                    { c.flushes++ }

func TestOneFlushABurst(t *testing.T) {
	d, c := NewDriver(), newTally()
	for range maxArrivals - 1 {
		d.Receive("peer", &api.Message{}, 1)
	}
	d.Lost("peer")
	d.Lost("other")
	d.Lost("peer")
	d.Start(c)
	d.Do(func() {})
	d.Stop()
	if c.received != maxArrivals-1 || len(c.lost) != 2 || c.flushes > 2 {
		t.Fatalf("%d received, %v lost, %d flushes", c.received, c.lost, c.flushes)
	}
}

// waits says whether f has not returned after a while.
func waits(f func()) (bool, <-chan struct{}) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
		return false, done
	case <-time.After(20 * time.Millisecond):
		return true, done
	}
}

func TestInboxIsBounded(t *testing.T) {
	for name, size := range map[string]int{"by number": 0, "by bytes": maxArrivalBytes / 4} {
		t.Run(name, func(t *testing.T) {
			d, c := NewDriver(), newTally()
			n := min(maxArrivals, 4)
			if size == 0 {
				n = maxArrivals
			}
			for range n {
				d.Receive("peer", &api.Message{}, size)
			}
			waiting, done := waits(func() { d.Receive("peer", &api.Message{}, 1) })
			if !waiting {
				t.Fatal("one more than the bound came in")
			}
			if waiting, _ := waits(func() { d.Lost("peer"); d.inbox.answer(func(env.Process) {}) }); waiting {
				t.Fatal("an answer waits for room")
			}
			d.Start(c)
			<-done
			d.Do(func() {})
			d.Stop()
			if c.received != n+1 {
				t.Fatalf("%d received, want %d", c.received, n+1)
			}
		})
	}
}

func TestLargeMessageComesAlone(t *testing.T) {
	d := NewDriver()
	if waiting, _ := waits(func() { d.Receive("peer", &api.Message{}, 4*maxArrivalBytes) }); waiting {
		t.Fatal("a message larger than the bound never comes in")
	}
	d.Stop()
}

func TestStop(t *testing.T) {
	d := NewDriver()
	for range maxArrivals {
		d.Post(func() {})
	}
	var came bool
	_, done := waits(func() { came = d.Receive("peer", &api.Message{}, 1) })
	d.Stop()
	d.Stop()
	<-done
	if came || d.Do(func() {}) || d.Post(func() {}) {
		t.Fatal("something came in after Stop")
	}
	d.Start(newTally()) // does nothing
	d.Lost("peer")

	// Stop and Do from everywhere: no deadlock, and nothing runs after Stop.
	for range 50 {
		d, c := NewDriver(), newTally()
		d.Start(c)
		for range 4 {
			go d.Do(func() { c.received++ })
			go d.Stop()
		}
		d.Stop()
		before := c.received
		time.Sleep(10 * time.Microsecond)
		if c.received != before {
			t.Fatal("a function ran after Stop")
		}
	}
}

func TestDoIsFlushed(t *testing.T) {
	d, c := NewDriver(), newTally()
	d.Start(c)
	defer d.Stop()
	for range 100 {
		var before int
		d.Do(func() { before = c.flushes })
		var after int
		d.Do(func() { after = c.flushes })
		if after <= before {
			t.Fatal("Do returned before the Flush")
		}
	}
}

// A process that is never idle is woken all the same.
func TestWakeOfBusyProcess(t *testing.T) {
	d, c := NewDriver(), newTally()
	busy := true
	var again func(env.Process)
	again = func(env.Process) {
		if busy {
			d.inbox.answer(again)
		}
	}
	d.Start(c)
	d.Do(func() {
		d.Clock().WakeAt(d.Clock().Now() + env.Millisecond)
		d.inbox.answer(again)
	})
	for deadline := time.Now().Add(5 * time.Second); busy && time.Now().Before(deadline); {
		d.Do(func() { busy = c.wakes == 0 })
	}
	d.Stop()
	if c.wakes != 1 {
		t.Fatalf("woken %d times", c.wakes)
	}
}

func BenchmarkDriver(b *testing.B) {
	d, c := NewDriver(), newTally()
	d.Start(c)
	m := &api.Message{}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Receive("peer", m, 1)
		}
	})
	d.Stop()
}
