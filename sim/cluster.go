package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/sim/world"
)

// node is a machine of the cluster, with a broker on it while it is up.
type node struct {
	run    *run
	number int // from 1
	host   *world.Host
	// broker of the present life; nil while down.
	broker *broker.Node
	// leaving: it was asked to shut down.
	leaving bool
	// cramped: in this life there was less room on its disk than its reserve, so that
	// it may stop.
	cramped bool
	// rotten: its journal has damage, so that it must refuse to start.
	rotten bool
	// gone: what it had, image, is lost, or given to others; it does not start.
	gone  bool
	image disk.Image
	// departure is how it leaves the cluster, once it does.
	departure *departure
	// removed: it is out of the cluster, and runs all the same.
	removed bool
	// found are the files that it found damaged, with how often its disk had been then.
	found map[string]int
	// copying is how far it was with the logs that it copies, by group.
	copying map[api.GroupID]int64
	// copied is what it has asked of others' segments lately, as a bucket that runs empty.
	copied bucket
	// leapt is when a clock that stood still has gone on for a while.
	leapt env.Time
}

// version is what simulated nodes say they are.
const version = "simulated"

// founded bounds how long a new cluster takes to be ready.
const founded = 30 * env.Second

// addNode makes a machine and takes it under watch.
func (r *run) addNode() *node {
	n := &node{run: r, number: len(r.nodes) + 1, found: make(map[string]int)}
	n.host = r.world.Host(nodeName(n.number), world.Config{
		Disk:    speed(r.plan.Config.DiskFactor),
		LateIn:  r.plan.Config.LateIn,
		LateMax: env.Time(r.plan.Config.LateMicros) * env.Microsecond,
	})
	n.host.After = n.flushed
	r.nodes = append(r.nodes, n)
	r.oracle.Watch(n.host.Name)
	return n
}

func nodeName(number int) env.Endpoint { return env.Endpoint(fmt.Sprintf("n%d:9092", number)) }

func speed(factor int64) disk.Speed {
	s := disk.Normal
	f := env.Time(max(factor, 1))
	s.SyncMin, s.SyncMax, s.LoadMin, s.LoadMax = s.SyncMin*f, s.SyncMax*f, s.LoadMin*f, s.LoadMax*f
	return s
}

// boot begins a life of the node.
func (n *node) boot() {
	if n.host.Up() || n.gone {
		return
	}
	n.leaving, n.copying = false, make(map[api.GroupID]int64)
	n.cramped = n.host.Disk.Free() < n.need()
	n.run.oracle.Restarting(n.host.Name)
	n.host.Start(func(p world.Place) env.Process {
		n.broker = broker.New(n.config(), broker.World{
			Clock: p.Clock, Disk: p.Disk, Network: p.Network, Random: p.Random, Trace: n.note,
		})
		return n.broker
	})
}

func (n *node) config() broker.Config {
	c := &n.run.plan.Config
	config := broker.DefaultConfig()
	config.Address = n.host.Name
	config.Init = n.number == 1
	if !config.Init {
		config.Join = slices.DeleteFunc(n.run.members(), func(name env.Endpoint) bool { return name == n.host.Name })
	}
	config.SegmentBytes = c.SegmentBytes
	config.JournalFileBytes, config.JournalFiles = c.JournalFileBytes, c.JournalFiles
	config.CheckpointBytes, config.CopyBytes = c.CheckpointBytes, c.CopyBytes
	if c.CopyRate > 0 {
		config.CopyRate = c.CopyRate
	}
	config.Tick = env.Time(c.TickMillis) * env.Millisecond
	if c.Mixed {
		n.vary(&config)
	}
	config.ReserveBytes, config.ScrubBytes = plan.ReserveBytes, plan.ScrubBytes
	config.Codecs = codecs
	config.Version = version
	config.GroupShards, config.GroupSegmentBytes = plan.GroupShards, plan.GroupSegmentBytes
	return config
}

// vary makes a node's settings other than its peers': up to twice the size, or half as
// much again between ticks.
func (n *node) vary(c *broker.Config) {
	draw := func(purpose string, below int64) int64 {
		return prng.Scale(prng.Hash(n.run.plan.Seed, prng.HashString(purpose), uint64(n.number)), below)
	}
	c.JournalFileBytes *= 1 + draw("journal file", 2)
	c.JournalFiles += int(draw("journal files", 3))
	c.CheckpointBytes *= 1 + int(draw("checkpoint", 3))
	c.CopyBytes *= 1 + int(draw("copy", 4))
	c.Tick += c.Tick * env.Time(draw("tick", 51)) / 100
}

// codecs are those whose output is the same everywhere.
var codecs = batch.NewCodecs(batch.NewGzip())

// note takes what the node says of itself.
func (n *node) note(e trace.Event) {
	r := n.run
	r.counts.Marks[e.Name]++
	if e.Level >= trace.Info {
		r.tell(string(n.host.Name), "%s%s", e.Name, eventDetail(e))
	}
	switch e.Name {
	case becameLeader:
		r.leader(n, e)
	case "snapshot copy begun":
		delete(n.copying, e.Group)
		r.copies(n)
	case nodeServes:
		if n.rotten {
			r.fail(DamageIgnored, "%s serves, though it cannot read all that it has promised", n.host.Name)
		}
	case "damaged segment found":
		n.found[e.File] = n.host.Disk.Wounds()
		r.mends()
	case "damaged segment restored":
		n.restored(e)
	}
	if telling[e.Name] {
		// Not now: the node is in the middle of it.
		r.world.Agenda.After(0, n.look)
	}
}

// restored holds it against the disk that a file is whole again. If the disk was damaged
// once more since the file was found damaged, that may be what is wrong with it.
func (n *node) restored(e trace.Event) {
	if n.found[e.File] == n.host.Disk.Wounds() && n.host.Disk.Damaged(e.File, e.Bytes) {
		n.run.fail(NotRestored, "%s says that it has restored %s, whose first %d bytes are not as they were written", n.host.Name, e.File, e.Bytes)
	}
}

// telling are events after which a replica's state is held against its log at once.
var telling = map[string]bool{becameLeader: true, nodeServes: true, "snapshot installed": true}

// flushed looks after a node's every burst: it may have failed, or be done leaving.
func (n *node) flushed() {
	if err := n.broker.Failed(); err != nil {
		n.failed(err)
		return
	}
	if n.leaving && n.broker.Done() {
		n.kill()
	}
}

// failed takes a node that gave up: for what was done to it, or for nothing.
func (n *node) failed(err error) {
	switch {
	case n.cramped && errors.Is(err, env.ErrNoSpace) || n.host.Disk.Failed() && errors.Is(err, env.ErrIO):
		n.run.tell(string(n.host.Name), "stops: %v", err)
		n.kill()
		n.restartWithRoom()
	case n.rotten && errors.Is(err, journal.ErrDamaged):
		n.run.tell(string(n.host.Name), "does not start: %v", err)
		n.lose()
		n.replace()
	case n.run.plan.Unrestricted && (errors.Is(err, segment.ErrDamaged) || errors.Is(err, env.ErrIO) || errors.Is(err, env.ErrNoSpace)):
		n.run.tell(string(n.host.Name), "stops: %v", err)
		n.kill()
		n.run.world.Agenda.After(env.Second, n.boot)
	default:
		n.run.fail(NodeFailed, "%s: %v", n.host.Name, err)
		n.kill()
		if n.run.blackBox {
			n.run.world.Agenda.After(env.Second, n.boot)
		}
	}
}

// need is the room that a node must have if it is not to stop: its reserve and, as long as
// it has no whole journal, that too.
func (n *node) need() int64 {
	need := int64(plan.ReserveBytes)
	if c := n.config(); len(n.host.Disk.Contents(journalFolder+"02")) == 0 {
		need += int64(c.JournalFiles) * c.JournalFileBytes
	}
	return need
}

// restartWithRoom is what whoever runs a node does that stopped on a full disk.
func (n *node) restartWithRoom() {
	n.run.world.Agenda.After(env.Second, func() {
		switch {
		case n.host.Up():
		case n.host.Disk.Free() < n.need():
			n.restartWithRoom()
		default:
			n.boot()
		}
	})
}

// look lets the oracle see what the node has in memory.
func (n *node) look() {
	if n.host.Up() && n.broker != nil {
		views := n.broker.Inspect()
		n.run.oracle.Look(n.host.Name, views)
		n.goesOn(views)
	}
}

// kill ends the process; the disk keeps what it was told.
func (n *node) kill() {
	n.look()
	n.host.Kill()
	n.broker = nil
}

// crash cuts the power.
func (n *node) crash(c disk.Crash) disk.Loss {
	n.look()
	n.broker = nil
	return n.host.Crash(c)
}

// found makes the cluster: nodes, then the topic that all clients share.
func (r *run) found() {
	for range r.plan.Nodes {
		r.addNode().boot()
	}
	r.admin = r.addAdmin()
	if !r.until(founded, r.informed) {
		r.fail(Stuck, "a new cluster of %d nodes is not ready after %d s: %s", r.plan.Nodes, founded/env.Second, r.missing())
		return
	}
	w := &r.plan.Workload
	made := false
	r.admin.create(w, func() { made = true })
	if !r.until(founded, func() bool { return made && r.converged() }) {
		r.fail(Stuck, "topic %s is not ready after %d s: %s", w.Topic, founded/env.Second, r.missing())
		return
	}
	r.addClients()
	r.since, r.ready = r.world.Agenda.Now(), true
	r.tell("", "the cluster of %d nodes is ready", r.plan.Nodes)
}

// members are the addresses of the nodes that are not known to be gone, or of all that there
// were if none is left: what whoever runs nodes and clients tells them.
func (r *run) members() []env.Endpoint {
	var all, left []env.Endpoint
	for _, n := range r.nodes {
		all = append(all, n.host.Name)
		if !n.gone && !n.removed {
			left = append(left, n.host.Name)
		}
	}
	if len(left) == 0 {
		return all
	}
	return left
}

// informed reports whether every node has joined.
func (r *run) informed() bool {
	m := r.oracle.Meta()
	return m != nil && len(m.Nodes()) >= r.plan.Nodes
}
