// Package envtest is the one suite of tests for the worlds that implement
// broker/env: what holds for a process on the simulated disk, clock and network
// holds on the real ones, because both pass it.
//
// It tests the contract as it stands in package env, and nothing that the
// contract leaves open. It never injects a fault: what a world does to a process
// when its disk fails is tested with that world.
package envtest

import (
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

// Start builds a process that acts through the three. A client's disk is nil.
type Start func(env.Clock, env.Disk, env.Network) env.Process

// World is a place where processes run. Its disks have room and do not fail, and
// its links neither break by themselves nor, for ever, lose what is sent.
type World interface {
	// Node starts a process with a disk and an address of its own.
	Node(start Start) Host
	// Client starts a process that nodes know by its link alone.
	Client(start Start) Host
	// Nowhere is an address at which nothing will ever run.
	Nowhere() env.Endpoint
	// Until runs the world until done says so; false if that has not come about
	// after a time long enough for anything that a test waits for. The function
	// is called again and again, between or during events.
	Until(done func() bool) bool
}

// Host is where one process runs, and after a restart another.
type Host interface {
	// Address is where the process is reached; "" for a client.
	Address() env.Endpoint
	// Do calls f between two events of the process and then Flush, and returns
	// when both are done.
	Do(f func())
	// Stop ends the process as suddenly as the world can.
	Stop()
	// Restart is Stop, then another process with the same address and with what
	// is left of the disk. Only nodes restart.
	Restart(start Start)
}

// Run tests a world; newWorld makes a fresh one for each test and cleans up after
// it with t.Cleanup.
func Run(t *testing.T, newWorld func(t *testing.T) World) {
	RunLocal(t, newWorld)
	run(t, newWorld, networkTests)
}

// RunLocal is the part of Run that sends nothing: Disk and Clock. Of such a world
// neither Client nor Nowhere is called, and the network it gives may be nil.
func RunLocal(t *testing.T, newWorld func(t *testing.T) World) {
	run(t, newWorld, slices.Concat(diskTests, restartTests, clockTests))
}

func run(t *testing.T, newWorld func(t *testing.T) World, tests []test) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.run(t, newWorld(t)) })
	}
}

type test struct {
	name string
	run  func(*testing.T, World)
}
