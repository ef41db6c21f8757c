// Package osenv is the real world of a process: the machine's clock, a folder of
// its file system as the disk, and the driver, the one goroutine that calls the
// process.
//
// It never interprets what a process does with them, and has no network: that is
// package rpc, which hands messages to the driver.
package osenv

import (
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// Driver runs one process: it drains what has happened since the last burst, one
// call after another, then calls Flush once. So the busier a process is, the more
// each Flush covers.
//
// A driver is made first, then the disk and network that report to it, then the
// process that uses them; Start brings them together.
type Driver struct {
	clock  clock
	inbox  *inbox
	start  sync.Once
	stop   sync.Once
	ended  chan struct{} // closed when the process is called no more
	waking []chan struct{}
}

// NewDriver makes a driver without a process. What happens before Start waits.
func NewDriver() *Driver {
	return &Driver{
		clock: clock{origin: time.Now()},
		inbox: newInbox(),
		ended: make(chan struct{}),
	}
}

// Clock is the process's clock. WakeAt is for the process alone.
func (d *Driver) Clock() env.Clock { return &d.clock }

// Start begins to call the process. It must be called at most once.
func (d *Driver) Start(p env.Process) {
	d.start.Do(func() { go d.run(p) })
}

// Stop ends the calls after the burst under way, whatever is still waiting, and
// returns when the last has returned. It must not be called by the process.
func (d *Driver) Stop() {
	d.stop.Do(func() {
		d.inbox.close()
		d.start.Do(func() { close(d.ended) })
	})
	<-d.ended
}

// Do has f called between two events of the process, and returns when the Flush
// after it has returned: whatever f made the process do has left. It reports
// false if the driver stopped before that. It must not be called by the process.
func (d *Driver) Do(f func()) bool {
	done := make(chan struct{})
	if !d.Post(func() { f(); d.waking = append(d.waking, done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-d.ended:
		return false
	}
}

// Post is Do without the wait for f; it waits only for room in the inbox.
func (d *Driver) Post(f func()) bool {
	return d.inbox.arrive(0, func(env.Process) { f() })
}

// Receive brings the process a message that took size bytes on its way. It waits
// for room in the inbox, and reports false if the driver has stopped.
func (d *Driver) Receive(from env.Endpoint, m *api.Message, size int) bool {
	return d.inbox.arrive(size, func(p env.Process) { p.Receive(from, m) })
}

// Lost tells the process that a link broke. It never waits.
func (d *Driver) Lost(peer env.Endpoint) { d.inbox.lose(peer) }

func (d *Driver) run(p env.Process) {
	defer close(d.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []event
	for {
		events, open := d.inbox.take(spare)
		if !open {
			return
		}
		wake := d.clock.due()
		if !wake && len(events) == 0 {
			spare = events
			d.rest(timer)
			continue
		}
		d.burst(p, wake, events)
		spare = events
	}
}

// rest waits until something happens.
func (d *Driver) rest(timer *time.Timer) {
	d.clock.arm(timer)
	select {
	case <-d.inbox.ready:
	case <-timer.C:
	}
}

func (d *Driver) burst(p env.Process, wake bool, events []event) {
	if wake {
		p.Wake()
	}
	for i, e := range events {
		e(p)
		events[i] = nil
	}
	p.Flush()
	for _, done := range d.waking {
		close(done)
	}
	d.waking = d.waking[:0]
}
