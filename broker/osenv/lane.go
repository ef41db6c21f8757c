package osenv

import (
	linked "container/list"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/env"
)

// poolWorkers is how many calls of one top folder run at the same time.
const poolWorkers = 8

// mergeMax bounds the bytes of queued appends that are written as one.
const mergeMax = 1 << 20

type kind uint8

const (
	create kind = iota
	appendTo
	writeAt
	truncate
	remove
	syncAll
	load
	list
)

// call is one call of the process.
type call struct {
	kind     kind
	name     string
	ticket   env.Ticket
	position int64 // or size
	length   int
	data     []byte

	waits int     // calls of other lanes to finish before this one begins
	next  []*call // calls of other lanes that wait for this one
}

// barrier says whether later calls below the folder wait for this one.
func (c *call) barrier() bool {
	return c.kind == list || c.kind == remove && env.IsFolder(c.name)
}

// naming says whether the call may change which names there are.
func (c *call) naming() bool { return c.kind == create || c.kind == remove }

// lane is the queue of one file or folder, and what is known of it.
type lane struct {
	name  string
	pool  *pool
	calls []*call // the first are being run if a worker owns the lane
	owned bool    // by a worker, or waiting for one: in pool.ready

	// What follows belongs to the worker that owns the lane.
	file   File            // open, or nil
	size   int64           // of the open file
	place  *linked.Element // of the open file, in pool.open
	failed error           // the first failed call since the last sync
	broken error           // a sync failed; nothing more can be said of the file
}

// pool is the workers of one top folder and their open files.
type pool struct {
	ready   []*lane // to be served, in turn
	workers int     // at most poolWorkers
	// open has the lanes with an open file; at its front is the one used longest ago.
	open linked.List
}

// enter puts a call on its lane.
func (d *Disk) enter(c *call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	l := d.lane(c.name)
	d.order(c, l)
	if c.barrier() {
		d.barriers = append(d.barriers, c)
	}
	l.calls = append(l.calls, c)
	d.schedule(l)
}

func (d *Disk) lane(name string) *lane {
	l := d.lanes[name]
	if l == nil {
		l = &lane{name: name, pool: d.pool(name)}
		d.lanes[name] = l
	}
	return l
}

func (d *Disk) pool(name string) *pool {
	top, _, found := strings.Cut(name, "/")
	if !found || checkName(name) != nil {
		top = ""
	}
	p := d.pools[top]
	if p == nil {
		p = &pool{}
		d.pools[top] = p
	}
	return p
}

// order makes a call wait for those of other lanes that come before it: the
// barriers above it, and if it is a folder's, what is called below it.
func (d *Disk) order(c *call, l *lane) {
	for _, b := range d.barriers {
		if b.name != c.name && strings.HasPrefix(c.name, b.name) {
			c.after(b)
		}
	}
	if !env.IsFolder(c.name) {
		return
	}
	for name, below := range d.lanes {
		if below == l || !strings.HasPrefix(name, c.name) {
			continue
		}
		if b := below.lastBefore(c); b != nil {
			c.after(b)
		}
	}
}

// lastBefore finds the last call of a lane that a call on a folder above waits for.
func (l *lane) lastBefore(c *call) *call {
	for _, b := range slices.Backward(l.calls) {
		if c.kind != syncAll || b.naming() {
			return b
		}
	}
	return nil
}

func (c *call) after(b *call) {
	c.waits++
	b.next = append(b.next, c)
}

// schedule hands a lane to its workers if it has something to do.
func (d *Disk) schedule(l *lane) {
	if l.owned || len(l.calls) == 0 || l.calls[0].waits > 0 || d.closed {
		return
	}
	l.owned = true
	p := l.pool
	p.ready = append(p.ready, l)
	if p.workers < poolWorkers {
		p.workers++
		d.workers.Go(func() { d.work(p) })
	}
}

// work serves the lanes of a pool until none is ready.
func (d *Disk) work(p *pool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(p.ready) > 0 && !d.closed {
		l := p.ready[0]
		p.ready = p.ready[1:]
		calls := l.batch()
		d.mu.Unlock()
		d.perform(l, calls)
		d.trim(l)
		d.mu.Lock()
		d.finish(l, len(calls))
	}
	p.workers--
}

// batch is the calls to run next: one, or several appends in a row.
func (l *lane) batch() []*call {
	n, bytes := 1, len(l.calls[0].data)
	for l.calls[0].kind == appendTo && n < len(l.calls) {
		c := l.calls[n]
		bytes += len(c.data)
		if c.kind != appendTo || c.waits > 0 || bytes > mergeMax {
			break
		}
		n++
	}
	return l.calls[:n:n]
}

// finish takes the calls that ran off the lane and lets go of what waited for them.
func (d *Disk) finish(l *lane, n int) {
	done := l.calls[:n]
	l.calls = l.calls[n:]
	l.owned = false
	for i, c := range done {
		done[i] = nil
		if c.barrier() {
			d.barriers = slices.DeleteFunc(d.barriers, func(b *call) bool { return b == c })
		}
		for _, next := range c.next {
			next.waits--
			d.schedule(d.lanes[next.name])
		}
	}
	d.schedule(l)
	d.forget(l)
}

// forget drops a lane of which there is nothing to remember.
func (d *Disk) forget(l *lane) {
	if !l.owned && len(l.calls) == 0 && l.file == nil && l.failed == nil && l.broken == nil {
		delete(d.lanes, l.name)
	}
}

// checkName checks the name of a file or folder.
func checkName(name string) error {
	if env.IsFolder(name) {
		return env.CheckFolder(name)
	}
	return env.CheckFile(name)
}
