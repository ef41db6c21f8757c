// Package world is where simulated processes live: machines with a clock, a disk
// and a network, which start, pause, lose power and are cut off. It drives each
// process as env.Process asks: one call at a time, and a Flush after a burst,
// whose length the world draws.
//
// It owns time, order and delivery. It never knows what a process is for; what
// goes wrong, and when, is decided by its caller.
package world

import (
	"crypto/rand" //detvet:allow world raft's election jitter reads its Reader, which is put back when a world ends
	"fmt"
	"io"
	"runtime/debug" //detvet:allow world the stack of a panic is told to people and is no part of the trace

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/agenda"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Watcher looks on, at the moment when something happens. It must not call the
// world.
type Watcher interface {
	// Called and Durable are those of disk.Watcher, of a host's disk.
	Called(host env.Endpoint, op disk.Operation)
	Durable(host env.Endpoint, op disk.Operation)
	// Sent: a process hands a message to the network. A client goes by the name of
	// its connection.
	Sent(from, to env.Endpoint, message *api.Message)
	// Delivered: a frame reaches a host that is up. On a connection, and towards a
	// node only, from is the connection's name.
	Delivered(from, to env.Endpoint, frame []byte)
	// CutOff: a cut drops a message, or breaks a connection, between two hosts.
	CutOff(from, to env.Endpoint)
	// Returned: a call of a process has ended. Within one call a process may send
	// before it writes.
	Returned(host env.Endpoint)
}

// World is machines under one virtual time. One process of the operating system
// runs one world at a time, since it sets crypto/rand.Reader.
type World struct {
	Agenda *agenda.Agenda
	Digest *digest.Digest
	// Failed is called with a process that has panicked; it is down since.
	Failed func(h *Host, what string)

	seed    uint64
	watcher Watcher
	hosts   map[env.Endpoint]*Host
	network *network
	reader  io.Reader // what crypto/rand.Reader was before
}

// New makes an empty world; Close gives crypto/rand back.
func New(seed uint64, profile netsim.Profile, d *digest.Digest, watcher Watcher) *World {
	w := &World{
		Agenda: agenda.New(), Digest: d, seed: seed, watcher: watcher,
		hosts: make(map[env.Endpoint]*Host), reader: rand.Reader,
	}
	w.network = newNetwork(w, profile)
	return w
}

// Close ends the world.
func (w *World) Close() { rand.Reader = w.reader }

// Run lets events happen until t, or until stop is true after one of them.
func (w *World) Run(t env.Time, stop func() bool) {
	for !stop() && w.Agenda.Next(t) {
	}
}

// Host makes a machine without a process.
func (w *World) Host(name env.Endpoint, c Config) *Host {
	if w.hosts[name] != nil {
		panic(fmt.Sprintf("world: two hosts named %s", name))
	}
	seed := prng.Hash(w.seed, prng.HashString(string(name)))
	h := &Host{
		Name: name, world: w, config: c, seed: seed,
		entropy: prng.New(seed).Split("crypto/rand"),
	}
	h.Disk = disk.New(w.Agenda, prng.Hash(seed, drawDisk), c.Disk, watched{h})
	w.hosts[name] = h
	return h
}

// watched passes what happens on a disk on to the digest and the watcher.
type watched struct{ h *Host }

func (x watched) Called(op disk.Operation) {
	w := x.h.world
	w.Digest.Note(w.Agenda.Now(), op.Kind.String(), string(x.h.Name)+" "+op.Name, uint64(op.Position), op.Data)
	w.watcher.Called(x.h.Name, op)
}

func (x watched) Durable(op disk.Operation) { x.h.world.watcher.Durable(x.h.Name, op) }

// guard turns a panic of a process into a call of Failed.
func (w *World) guard(h *Host) {
	if what := recover(); what != nil {
		h.stop()
		w.Failed(h, fmt.Sprintf("%v\n%s", what, debug.Stack()))
	}
}

// Purposes of the draws of a host.
const (
	drawDisk = iota + 1
	drawClock
	drawFlush
	drawFlushTime
	drawNetwork
)
