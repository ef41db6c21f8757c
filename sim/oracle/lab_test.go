package oracle_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/bundle"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/oracle"
	"github.com/reprise-mq/reprise/sim/world"
)

// lab is a cluster of three nodes under the eyes of an oracle that is shown things
// otherwise than they are.
type lab struct {
	t      *testing.T
	world  *world.World
	oracle *oracle.Oracle
	hosts  map[env.Endpoint]*world.Host
	nodes  map[env.Endpoint]*broker.Node
	client *world.Host
	// What the oracle is shown in place of what happens; nil is the truth.
	durable func(host env.Endpoint, op disk.Operation, show func(disk.Operation))
	sent    func(from, to env.Endpoint, m *api.Message, show func(*api.Message))
	// journal has the writes to each host's journal that became durable.
	journal map[env.Endpoint][]disk.Operation
}

var names = []env.Endpoint{"n1:1", "n2:1", "n3:1"}

// Now and Disk are oracle.World.
func (l *lab) Now() env.Time                     { return l.world.Agenda.Now() }
func (l *lab) Disk(host env.Endpoint) *disk.Disk { return l.hosts[host].Disk }

// watcher passes on to the oracle what the lab lets it see.
type watcher struct{ *lab }

func (w watcher) Called(host env.Endpoint, op disk.Operation) { w.oracle.Called(host, op) }
func (w watcher) Delivered(_, _ env.Endpoint, _ []byte)       {}
func (w watcher) CutOff(_, _ env.Endpoint)                    {}
func (w watcher) Returned(env.Endpoint)                       { w.oracle.Returned() }

func (w watcher) Durable(host env.Endpoint, op disk.Operation) {
	if strings.HasPrefix(op.Name, "journal/") {
		kept := op
		kept.Data = bytes.Clone(op.Data)
		w.journal[host] = append(w.journal[host], kept)
	}
	show := func(op disk.Operation) { w.oracle.Durable(host, op) }
	if w.durable != nil {
		w.durable(host, op, show)
		return
	}
	show(op)
}

func (w watcher) Sent(from, to env.Endpoint, m *api.Message) {
	show := func(m *api.Message) { w.oracle.Sent(from, to, m) }
	if w.sent != nil {
		w.sent(from, to, m, show)
		return
	}
	show(m)
}

func newLab(t *testing.T, seed uint64) *lab {
	l := &lab{
		t: t, hosts: make(map[env.Endpoint]*world.Host), nodes: make(map[env.Endpoint]*broker.Node),
		journal: make(map[env.Endpoint][]disk.Operation),
	}
	calm := netsim.Profile{Latency: netsim.Time(200 * env.Microsecond), Jitter: netsim.Time(100 * env.Microsecond)}
	l.world = world.New(seed, calm, digest.New(nil), watcher{l})
	t.Cleanup(l.world.Close)
	l.world.Failed = func(h *world.Host, what string) { t.Fatalf("%s panicked: %s", h.Name, what) }
	l.oracle = oracle.New(l)
	for _, name := range names {
		l.hosts[name] = l.world.Host(name, world.Config{Disk: disk.Normal})
		l.oracle.Watch(name)
		l.boot(name)
	}
	l.run(3 * env.Second)
	l.client = l.world.Host("client", world.Config{Disk: disk.Normal, Client: true})
	l.client.Start(func(p world.Place) env.Process {
		return core.New(core.Config{Bootstrap: names}, p.Clock, p.Network, p.Random)
	})
	made := false
	l.client.Do(func(p env.Process) {
		p.(*core.Client).CreateTopic(&api.CreateTopicRequest{Name: "t", Partitions: 1}, 0, func(r core.Result) { made = r.Err == nil })
	})
	l.run(2 * env.Second)
	if !made {
		t.Fatal("the topic was not made")
	}
	return l
}

func (l *lab) boot(name env.Endpoint) {
	l.hosts[name].Start(func(p world.Place) env.Process {
		c := broker.DefaultConfig()
		c.Address, c.Init, c.Join = name, name == names[0], names[:1]
		c.JournalFileBytes, c.JournalFiles, c.SegmentBytes, c.CheckpointBytes = 64<<10, 4, 8<<10, 8<<10
		if c.Init {
			c.Join = nil
		}
		l.nodes[name] = broker.New(c, broker.World{
			Clock: p.Clock, Disk: p.Disk, Network: p.Network, Random: p.Random, Trace: trace.Discard,
		})
		return l.nodes[name]
	})
}

// restart cuts a node's power and starts it again.
func (l *lab) restart(name env.Endpoint, down env.Time) {
	l.hosts[name].Crash(disk.Crash{Lose: 100})
	l.run(down)
	l.oracle.Restarting(name)
	l.boot(name)
}

func (l *lab) run(d env.Time) {
	l.world.Run(l.world.Agenda.Now()+d, func() bool { return l.oracle.Violation() != nil })
}

// produce appends so many batches of some size, and waits.
func (l *lab) produce(batches int) {
	for i := range batches {
		l.client.Do(func(p env.Process) {
			value := []byte(fmt.Sprintf("%d %s", i, strings.Repeat("x", 300)))
			p.(*core.Client).Produce("t", 0, []batch.Record{{Value: value}}, core.ProduceOptions{}, func(core.Result) {})
		})
		l.run(10 * env.Millisecond)
	}
	l.run(env.Second)
}

// work is an ordinary life with an election in it.
func (l *lab) work() {
	l.produce(40)
	leader, _, _ := l.oracle.Leader(l.group())
	l.restart(leader, 2*env.Second)
	l.run(2 * env.Second)
	l.produce(40)
	for _, name := range names {
		l.look(name)
	}
}

func (l *lab) look(name env.Endpoint) {
	if l.oracle.Violation() == nil {
		l.oracle.Look(name, l.nodes[name].Inspect())
	}
}

// group is the topic's.
func (l *lab) group() api.GroupID { return l.oracle.Topics()[0].Groups[0] }

// view is a node's replica of the topic.
func (l *lab) view(name env.Endpoint) broker.GroupView {
	for _, v := range l.nodes[name].Inspect() {
		if v.Group == l.group() {
			return v
		}
	}
	l.t.Fatalf("%s has no replica", name)
	return broker.GroupView{}
}

// want expects a violation of a name, or none.
func (l *lab) want(name oracle.Name) {
	l.t.Helper()
	switch v := l.oracle.Violation(); {
	case v == nil && name != "":
		l.t.Errorf("nothing was found, want %s", name)
	case v != nil && v.Name != name:
		l.t.Errorf("found %s: %s; want %q", v.Name, v.Message, name)
	}
}

// raft lets f change, or add to, the raft messages of a batch that nodes send.
func raft(f func(m *raftpb.Message, add func(*raftpb.Message))) func(_, _ env.Endpoint, m *api.Message, show func(*api.Message)) {
	return func(_, _ env.Endpoint, m *api.Message, show func(*api.Message)) {
		sent := m.GetPeer()
		if sent == nil {
			show(m)
			return
		}
		shown := proto.Clone(sent).(*api.PeerBatch)
		shown.Raft, shown.Heartbeats, shown.HeartbeatAnswers = nil, nil, nil
		for group, message := range bundle.Messages(sent) {
			add := func(m *raftpb.Message) { bundle.Add(shown, group, m) }
			f(message, add)
			add(message)
		}
		show(&api.Message{Body: &api.Message_Peer{Peer: shown}})
	}
}
