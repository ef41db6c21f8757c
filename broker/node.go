// Package broker is one node: it takes events from the world (a message, the
// answer of a disk, a wake-up), routes each to the group it concerns, and after a
// burst pumps every group that has work and flushes once, so that journal writes
// and messages of all groups travel together.
//
// It owns the routing, the handling of requests, and the making and ending of
// replicas as meta wants them. It never touches a clock, a file or a socket but
// through broker/env, and never decides what only an applied entry may decide.
package broker

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Config is what a node is told by whoever starts it. What all nodes must agree
// on is not here but in meta.
type Config struct {
	// Address at which clients and other nodes reach this node.
	Address env.Endpoint
	// Init founds a new cluster if the disk is empty.
	Init bool
	// Join names nodes of a cluster to join if the disk is empty.
	Join []env.Endpoint
	// SegmentBytes is the new cluster's default for topics; with Init only.
	SegmentBytes uint64
	// JournalFileBytes and JournalFiles size the journal.
	JournalFileBytes int64
	JournalFiles     int
	// CheckpointBytes is how much of one group the journal holds before the
	// group's segments are synced.
	CheckpointBytes int
	// CopyBytes of a segment are asked of another node at once; at most 1 MiB come.
	CopyBytes int
	// CopyRate bounds what the node copies of others' segments, in bytes a second: for new
	// replicas, for those that were away too long, and for what is damaged. 0 is no bound, MaxCopyRate the highest.
	CopyRate int64
	// Tick is raft's unit of time: a leader is missed after 10 to 20 ticks. A group's
	// clock moves on by two at a time.
	Tick env.Time
	// BalanceTicks is how long a leader that is not the preferred one stays.
	BalanceTicks int
	// SpreadTicks is how long the meta group's leader waits before it makes another replica
	// the preferred leader of a partition, so that nodes lead equally many; 0: it never does.
	SpreadTicks int
	// StallTicks is how long a sync may take before the node gives up leading.
	StallTicks int
	// ScrubBytes is about how much is read in a tick to find damage that nobody else
	// would find; 0 is nothing.
	ScrubBytes int
	// ReserveBytes is the room on the disk that is kept from new records: below it
	// they are refused with STORAGE_FULL.
	ReserveBytes int64
	// GroupShards is over how many partitions consumer groups are spread, if this node has
	// to have their topic made. In which one a group is follows from their number, so from
	// then on it is the topic's, in meta, and not a node's; who wants another one makes the
	// topic by hand.
	GroupShards int
	// GroupSegmentBytes is then the size of their segments: each begins with the whole state,
	// so small ones make recovery short and let old commands go.
	GroupSegmentBytes uint64
	// FirstUser is made while the cluster has no user; nil is nobody.
	FirstUser *api.PutUserRequest
	// MaxBatchBytes bounds a record batch as sent.
	MaxBatchBytes int
	// Codecs are the compressions whose batches are accepted.
	Codecs batch.Codecs
	// Version is told to whoever asks.
	Version string
}

// DefaultConfig is a node as it runs on real machines. Address, and Init or Join,
// are left to set.
func DefaultConfig() Config {
	return Config{
		SegmentBytes:      64 << 20,
		JournalFileBytes:  64 << 20,
		JournalFiles:      8,
		CheckpointBytes:   16 << 20,
		CopyBytes:         1 << 20,
		CopyRate:          100 << 20,
		Tick:              50 * env.Millisecond,
		BalanceTicks:      100,
		SpreadTicks:       20,
		StallTicks:        40,
		ScrubBytes:        64 << 10,
		ReserveBytes:      256 << 20,
		GroupShards:       8,
		GroupSegmentBytes: 1 << 20,
		MaxBatchBytes:     meta.DefaultMessageBytes,
		Codecs:            batch.NewCodecs(batch.NewGzip()),
	}
}

// World is what a node acts through.
type World struct {
	Clock   env.Clock
	Disk    env.Disk
	Network env.Network
	// Random is the node's own stream; no two nodes, and no two lives of one, get
	// equal ones.
	Random *prng.Stream
	Trace  trace.Sink
}

// Node is one broker. It implements env.Process.
type Node struct {
	cfg   Config
	world World
	files *files.Files
	trace trace.Sink
	// Differs between lives: tags of proposals and contexts of reads carry it.
	nonce uint64

	identity identity
	journal  *journal.Journal
	phase    phase
	failed   error

	meta   *metaGroup
	groups map[api.GroupID]*group
	// The same groups, ascending by id. Only what is past its end is ever written: who
	// walks over it may add and end groups.
	order []*group
	// Replicas to pump at the next flush, each once, in the order they asked.
	dirty    []*replica.Replica
	nextTick env.Time
	lived    lived
	ticks    uint64

	proposals uint64      // number of the last tag
	scrubbed  api.GroupID // the group that was scrubbed last
	timers    timers
	peers     peers
	calls     calls
	copies    copies
	stall     stall
	space     space
	leaving   leaving
	seeks     int // searches for a time stamp under way
	readings  readings
}

// phase says how far a node has come.
type phase uint8

const (
	phaseOpening phase = iota // reading the identity and the journal
	phaseJoining              // asking a cluster for an identity
	phaseServing              // replicas are open
)

// New starts a node on a disk: it recovers what is there, or founds or joins a
// cluster. Requests are answered NOT_READY until then.
func New(cfg Config, world World) *Node {
	n := &Node{
		cfg:    cfg,
		world:  world,
		files:  files.New(world.Disk),
		trace:  world.Trace,
		nonce:  world.Random.Uint64(),
		groups: make(map[api.GroupID]*group),
	}
	n.peers.init()
	n.calls.init(n)
	n.nextTick = world.Clock.Now() + cfg.Tick
	n.lived.at = world.Clock.Now()
	n.open()
	return n
}

// Failed is why the node cannot go on, nil while it can. The driver asks after
// each Flush, and stops a node that failed.
func (n *Node) Failed() error { return n.failed }

// AskMeta calls done when the meta group has answered a read, on a node that serves; with an
// error if it does not: the node is cut off, or was removed.
func (n *Node) AskMeta(done func(error)) { n.meta.group.replica.Read(done) }

// Serves reports whether the node has come so far that its replicas are open.
func (n *Node) Serves() bool { return n.phase == phaseServing }

// Fail stops the node: it sends and acknowledges nothing more. The first cause
// stands.
func (n *Node) Fail(err error) {
	if n.failed == nil {
		n.failed = err
		n.trace(trace.Event{Level: trace.Fatal, Name: "node failed", Detail: err.Error()})
	}
}

// Wake is env.Process: time has passed.
func (n *Node) Wake() {
	now := n.world.Clock.Now()
	n.lived.advance(now)
	// A node that was paused does not make up for lost time: one tick is enough
	// to find out what happened meanwhile.
	if now >= n.nextTick {
		n.nextTick = now + n.cfg.Tick
		n.tick()
	}
	n.timers.fire(now)
}

// Synced is env.Process.
func (n *Node) Synced(t env.Ticket, err error) { n.files.Synced(t, err) }

// Loaded is env.Process.
func (n *Node) Loaded(t env.Ticket, data []byte, err error) {
	n.files.Loaded(t, data, err)
	n.readOn()
}

// Listed is env.Process.
func (n *Node) Listed(t env.Ticket, entries []env.FileInfo, err error) {
	n.files.Listed(t, entries, err)
}

// Receive is env.Process.
func (n *Node) Receive(from env.Endpoint, m *api.Message) {
	switch body := m.GetBody().(type) {
	case *api.Message_Request:
		n.request(caller{from, body.Request.GetId()}, body.Request)
	case *api.Message_Response:
		n.calls.answered(from, body.Response)
	case *api.Message_Peer:
		n.receivePeer(from, body.Peer)
	}
}

// Lost is env.Process: what was sent to an endpoint may be lost.
func (n *Node) Lost(peer env.Endpoint) {
	n.calls.lost(peer)
	n.dropPolls(peer)
	n.dropReadings(peer)
	n.unreachable(peer)
}

// Flush is env.Process: groups with work do it, then the journal writes and the
// messages leave.
func (n *Node) Flush() {
	for i := 0; i < len(n.dirty) && n.failed == nil; i++ {
		n.dirty[i].Pump()
		n.settle(n.dirty[i].Group())
	}
	if n.failed != nil {
		return
	}
	clear(n.dirty)
	n.dirty = n.dirty[:0]
	if n.journal != nil {
		n.relieveJournal()
		n.journal.Flush()
	}
	n.sendPeers()
	n.world.Clock.WakeAt(min(n.nextTick, n.timers.next()))
}

// Dirty is replica.Host.
func (n *Node) Dirty(r *replica.Replica) { n.dirty = append(n.dirty, r) }

// tick moves groups' clocks on and looks after what needs looking after.
func (n *Node) tick() {
	n.ticks++
	n.refill()
	if n.phase != phaseServing || n.failed != nil {
		return
	}
	n.watchStall()
	n.watchSpace()
	for _, g := range n.order {
		if (n.ticks+uint64(g.id))%lookEvery != 0 || g.replica == nil || n.stall.frozen[g.id] {
			continue
		}
		g.replica.Tick(lookEvery)
		n.tend(g)
	}
	n.meta.ends = 0
	n.followMeta()
	n.watchNode()
	if n.cfg.ScrubBytes > 0 {
		n.scrub()
	}
}

// addGroup makes a group known, and dropGroup unknown.
func (n *Node) addGroup(g *group) {
	n.groups[g.id] = g
	if at := n.place(g.id); at == len(n.order) {
		n.order = append(n.order, g)
	} else {
		n.order = slices.Insert(slices.Clone(n.order), at, g)
	}
}

func (n *Node) dropGroup(g *group) {
	delete(n.groups, g.id)
	at := n.place(g.id)
	n.order = slices.Delete(slices.Clone(n.order), at, at+1)
}

// place is where a group stands in the order, or would.
func (n *Node) place(id api.GroupID) int {
	at, _ := slices.BinarySearchFunc(n.order, id, func(g *group, id api.GroupID) int { return cmp.Compare(g.id, id) })
	return at
}

// relieveJournal checkpoints the groups that keep the oldest journal file alive.
func (n *Node) relieveJournal() {
	for _, id := range n.journal.Pressure() {
		if g := n.groups[id]; g != nil && g.replica != nil {
			g.replica.Checkpoint()
		}
	}
}

// now is the wall clock that is stamped into entries.
func (n *Node) now() api.Milliseconds { return api.Milliseconds(n.world.Clock.Wall()) }
