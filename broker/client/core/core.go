// Package core is the client of a Reprise cluster as a state machine: it finds
// leaders, retries, gathers records into batches and numbers them, so that a
// retried batch is appended once. It runs over env.Clock and env.Network and
// nothing else; the blocking shell (broker/client) and the simulator drive the
// same code.
//
// An operation is asked for with a method of Client and a function that takes
// its Result. The function runs in a later Flush, never inside the method, and
// may ask for the next operation.
//
// # What a result says
//
// Every attempt ends with a code of api.Traits, or with TIMED_OUT or
// DISCONNECTED when no answer came. An operation is definite only if every
// attempt was; one that was never sent counts as definite. The code that a
// Result carries always agrees with its Definite. After an attempt in doubt only
// what is idempotent is tried again: reads, InitProducer for a new id,
// DeleteRecords up to a given offset, DeleteTopic (by id), produce with a producer
// identity, and what is asked of the coordinators of groups.
//
// # Producer identities
//
// Each partition that is written to has a producer id of its own. Sequences are
// per producer and partition anyway, so a shared id saves nothing on the broker,
// while the epoch is per id: with a shared one, a batch of unknown outcome in one
// partition would stop all the others until their batches in flight were
// answered. Here the bump stays local.
//
// # Consumer groups
//
// A Consumer is a member of a group: it joins, beats, fetches what it owns, hands records
// out and commits, on top of the client's operations. Requests about a group go to the
// partition of api.GroupsTopic that coordinates it (api.GroupShard).
//
// Package core never sees a goroutine, a socket or a file.
package core

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Client is one client of one cluster. It implements env.Process; the driver
// calls one method at a time, and Flush after a burst of calls.
type Client struct {
	config  Config
	clock   env.Clock
	network env.Network
	random  *prng.Stream
	cluster *cluster
	// news is when to look for what nodes there are; see keepUp.
	news timer

	timers timers
	// alarm is the time last asked of the clock, noAlarm once it rang.
	alarm env.Time

	// calls holds the attempts under way, by the id of their request.
	calls    map[uint64]*call
	lastCall uint64

	lanes map[laneKey]*lane
	// dirty lists the lanes to look at in the next Flush, each once.
	dirty []*lane

	// waiting counts operations without a result, at most config.Waiting;
	// buffered the bytes of their records, at most config.BufferedBytes.
	waiting  int
	buffered int
	finished []completion
}

// noAlarm is no time: monotonic readings are not negative.
const noAlarm env.Time = -1

type completion struct {
	done   func(Result)
	result Result
}

// New makes a client. The stream is the client's own: it spreads retries and the
// choice of the first node.
func New(config Config, clock env.Clock, network env.Network, random *prng.Stream) *Client {
	config = config.withDefaults()
	c := &Client{
		config:  config,
		clock:   clock,
		network: network,
		random:  random,
		cluster: newCluster(config.Bootstrap, random),
		calls:   map[uint64]*call{},
		lanes:   map[laneKey]*lane{},
		alarm:   noAlarm,
		// An answer to an earlier life must not be taken for one to this.
		lastCall: random.Uint64() >> 16,
	}
	c.news.fire = c.keepUp
	c.timers.set(&c.news, clock.Now()+idleAge)
	return c
}

// Pending counts the operations that have no result yet.
func (c *Client) Pending() int { return c.waiting + len(c.finished) }

// Receive takes an answer.
func (c *Client) Receive(from env.Endpoint, message *api.Message) {
	if response := message.GetResponse(); response != nil {
		c.answer(from, response)
	}
}

// Lost ends the attempts under way at a node: each may have happened.
func (c *Client) Lost(peer env.Endpoint) {
	for _, id := range slices.Sorted(maps.Keys(c.calls)) {
		if call := c.calls[id]; call != nil && call.to == peer {
			c.end(call, failure(api.Code_DISCONNECTED, "the link to %s broke, or could not be made; is a node running there? does it want TLS, and a certificate?", peer))
		}
	}
}

// Wake runs the timers that are due.
func (c *Client) Wake() {
	c.alarm = noAlarm
	now := c.clock.Now()
	for t := c.timers.due(now); t != nil; t = c.timers.due(now) {
		t.fire()
	}
}

// Flush sends what was gathered and hands out results, until nothing is left to
// do now.
func (c *Client) Flush() {
	for len(c.dirty) > 0 || len(c.finished) > 0 {
		lanes := c.dirty
		c.dirty = nil
		for _, l := range lanes {
			l.dirty = false
			l.pump()
		}
		finished := c.finished
		c.finished = nil
		for _, f := range finished {
			f.done(f.result)
		}
	}
	if at, ok := c.timers.next(); ok && at != c.alarm {
		c.alarm = at
		c.clock.WakeAt(at)
	}
}

// Synced is never called: a client has no disk.
func (c *Client) Synced(env.Ticket, error) { panic("core: a client has no disk") }

// Loaded is never called: a client has no disk.
func (c *Client) Loaded(env.Ticket, []byte, error) { panic("core: a client has no disk") }

// Listed is never called: a client has no disk.
func (c *Client) Listed(env.Ticket, []env.FileInfo, error) { panic("core: a client has no disk") }

// admit counts an operation in, unless a bound is reached: then its result is
// already on the way, and admit is false.
func (c *Client) admit(bytes int, done func(Result)) bool {
	switch {
	case c.waiting >= c.config.Waiting:
		c.refuse(done, api.Errorf(api.Code_OVERLOADED, "the client has %d operations waiting, its bound; wait for some to end", c.waiting))
	case bytes > 0 && c.buffered+bytes > c.config.BufferedBytes:
		c.refuse(done, api.Errorf(api.Code_OVERLOADED, "the client holds %d bytes of records, and %d more pass its bound of %d; wait for some to be acknowledged", c.buffered, bytes, c.config.BufferedBytes))
	default:
		c.waiting++
		c.buffered += bytes
		return true
	}
	return false
}

// refuse answers an operation that was never admitted.
func (c *Client) refuse(done func(Result), err *api.Error) {
	c.finished = append(c.finished, completion{done, Result{Err: err, Definite: true}})
}

// finish answers an operation that was admitted with so many bytes.
func (c *Client) finish(bytes int, done func(Result), result Result) {
	c.waiting--
	c.buffered -= bytes
	if c.waiting < 0 || c.buffered < 0 {
		panic("core: more operations ended than began")
	}
	c.finished = append(c.finished, completion{done, result})
}

// backoff is the pause after so many failures in a row: doubled each time up to
// the bound, of which a random half is taken off so that clients spread.
func (c *Client) backoff(failures int) env.Time {
	pause := c.config.BackoffMin
	for i := 1; i < failures && pause < c.config.BackoffMax; i++ {
		pause *= 2
	}
	pause = min(pause, c.config.BackoffMax)
	return pause/2 + env.Time(c.random.Below(int64(pause/2)+1))
}

func (c *Client) mark(name string) { c.config.Trace(trace.Event{Level: trace.Mark, Name: name}) }
