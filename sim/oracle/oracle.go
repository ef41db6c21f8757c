// Package oracle judges a cluster from inside, while it runs, by what stands on
// its disks and what goes over its wires. It reads the formats of journal,
// segment and raft, and calls nothing of a node but Inspect.
//
// It knows, for every group, the one log that the group has committed, and keeps
// a reference state machine that it applies that log to. Against these it holds
//
//   - promises: a vote or an acknowledgement on the wire that a power failure of
//     its sender, now, would make it forget;
//   - acknowledgements to clients of what is not on the disks of a majority;
//   - election safety and leader completeness;
//   - log matching: what any replica writes to a segment, in any life;
//   - live = replay: a replica's state, at every look, against the reference's;
//   - moves: a partition that is to keep as many replicas never has fewer votes;
//   - bounds: batches larger than their topic allows;
//   - retention: what it gives up, and the age of the log, against the true time;
//   - the files of two replicas, byte for byte.
//
// It never changes what it watches. The first violation is kept; a run is over
// then.
package oracle

import (
	"fmt"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/disk"
)

// Name is the name of a violation, and of the verdict on the run.
type Name string

// Names of violations.
const (
	// PromiseBroken: a vote or an append's answer is sent, and what it promises is
	// not on the sender's platter.
	PromiseBroken Name = "promise-broken"
	// VotedTwice: a replica voted for two candidates in one term.
	VotedTwice Name = "voted-twice"
	// TwoLeaders: two replicas lead in one term.
	TwoLeaders Name = "two-leaders"
	// LeaderIncomplete: a leader's log lacks a committed entry.
	LeaderIncomplete Name = "leader-incomplete"
	// AckNotCommitted: a produce was acknowledged at an offset at which no replica
	// has applied a record.
	AckNotCommitted Name = "ack-not-committed"
	// AckMismatch: a produce was acknowledged at an offset at which the log has
	// another batch.
	AckMismatch Name = "ack-mismatch"
	// AckNotDurable: a produce was acknowledged that is not on the platters of a
	// majority.
	AckNotDurable Name = "ack-not-durable"
	// LogMismatch: two replicas, or two lives of one, committed different entries
	// at one index; or a segment has a gap.
	LogMismatch Name = "log-mismatch"
	// OffsetMismatch: a frame's offsets are not those that follow from the log.
	OffsetMismatch Name = "offset-mismatch"
	// MarkNotDurable: the journal says that segments are synced which are not.
	MarkNotDurable Name = "mark-not-durable"
	// LiveReplay: a replica's state is not what its log amounts to.
	LiveReplay Name = "live-replay"
	// ConfMismatch: a replica's configuration is not what its log amounts to.
	ConfMismatch Name = "conf-mismatch"
	// TooFewVoters: a change of a partition's replicas took a vote away before the one in its
	// place had it.
	TooFewVoters Name = "too-few-voters"
	// BroughtBack: a replica is in its group again after meta has recorded that it is out.
	BroughtBack Name = "brought-back"
	// BatchTooLarge: a batch was taken that is larger than its topic's bound has been for long.
	BatchTooLarge Name = "batch-too-large"
	// CommitRegress: a replica's commit or applied index went back.
	CommitRegress Name = "commit-regress"
	// RecordsMissing: a replica's files begin above the log start.
	RecordsMissing Name = "records-missing"
	// AgeLeapt: a log is older, by its own account, than its group.
	AgeLeapt Name = "age-leapt"
	// GivenUp: retention gave records up that it was to keep.
	GivenUp Name = "given-up"
	// ReplicaMismatch: files of two replicas that are caught up differ.
	ReplicaMismatch Name = "replica-mismatch"
)

// Violation is something that must not be.
type Violation struct {
	Name    Name     `json:"name"`
	Message string   `json:"message"`
	At      env.Time `json:"at"`
	// Record that it is about, nil where it is about none.
	Record *Record `json:"record,omitempty"`
}

// Record is the first record of a batch, at the offset where it was acknowledged.
type Record struct {
	Group  api.GroupID `json:"group"`
	Offset api.Offset  `json:"offset"`
	// Batch is the one that it was sent in.
	Batch []byte `json:"-"`
}

// World is what an oracle needs to see of the world.
type World interface {
	Now() env.Time
	// Disk is the disk of a host.
	Disk(host env.Endpoint) *disk.Disk
}

// Oracle implements world.Watcher.
type Oracle struct {
	world World
	first *Violation
	// watching: a violation is kept, and the oracle goes on as if there were none.
	watching bool
	hosts    map[env.Endpoint]*host
	// order lists the hosts as they were added.
	order  []*host
	groups map[api.GroupID]*group
	calls  map[callKey]*api.ProduceRequest
	// acks were sent in the call of a process that is under way. early ones are by
	// nodes whose disk had no room for what they had applied: the log shows it when
	// another replica writes it.
	acks   []ack
	early  []ack
	topics []Topic
	stats  Stats
}

// Stats counts what was checked, and what a run must have to prove something.
type Stats struct {
	// Promises, Acks, Frames and States that were checked.
	Promises int `json:"promises"`
	Acks     int `json:"acks"`
	Frames   int `json:"frames"`
	States   int `json:"states"`
	// Elections: terms in which a group had a leader.
	Elections int `json:"elections"`
	// Suffixes: changes of leader at which the old one had unacknowledged entries.
	Suffixes int `json:"suffixes"`
}

// host is what is known of a node's disk.
type host struct {
	name    env.Endpoint
	life    int // counts its starts
	disk    *disk.Disk
	written view // the journal as its node wrote it
	durable view // the journal as the platter holds it
	// lost is what the platter held, by group, before the disk or the journal was lost.
	lost map[api.GroupID]*image
	// parsed is how far each segment file was read.
	parsed map[string]extent
	// seen is the last look at each of its replicas in this life.
	seen map[api.GroupID]look
}

// extent is how far a segment file was read: so many bytes, and whether there was
// an entry in them.
type extent struct {
	bytes   int64
	entries bool
}

// New makes an oracle without hosts.
func New(w World) *Oracle {
	return &Oracle{
		world: w, hosts: make(map[env.Endpoint]*host),
		groups: make(map[api.GroupID]*group), calls: make(map[callKey]*api.ProduceRequest),
	}
}

// Watching makes the oracle go on after a violation: the log stays the one that it
// saw first, as well as that can be told.
func (o *Oracle) Watching() { o.watching = true }

// over reports whether what follows means nothing any more.
func (o *Oracle) over() bool { return o.first != nil && !o.watching }

// Watch takes a node's host in.
func (o *Oracle) Watch(name env.Endpoint) {
	h := &host{name: name, disk: o.world.Disk(name), parsed: make(map[string]extent)}
	o.hosts[name] = h
	o.order = append(o.order, h)
	o.Restarting(name)
}

// Violation is the first thing that must not be, nil if all was well so far.
func (o *Oracle) Violation() *Violation { return o.first }

// Stats is what was checked so far.
func (o *Oracle) Stats() Stats { return o.stats }

// fail keeps the first violation.
func (o *Oracle) fail(name Name, format string, args ...any) {
	if o.first == nil {
		o.first = &Violation{Name: name, Message: fmt.Sprintf(format, args...), At: o.world.Now()}
	}
}

// Restarting says that a node is about to begin a life on what its disk has.
func (o *Oracle) Restarting(name env.Endpoint) {
	h := o.hosts[name]
	h.life++
	h.written = newView(h, (*disk.Disk).Contents)
	h.durable = newView(h, (*disk.Disk).Platter)
	h.seen = make(map[api.GroupID]look)
	h.parsed = make(map[string]extent)
	for _, file := range h.disk.Names() {
		if _, ok := segmentOf(file); ok {
			o.readSegment(h, file, false)
		}
	}
}

// Lost says that a node may lose its disk or its journal for good, before it does. What
// it acknowledged it had, and acknowledgements that are on their way stand on that.
func (o *Oracle) Lost(name env.Endpoint) {
	h := o.hosts[name]
	h.durable.refresh()
	h.lost = h.durable.images
}

// Called is part of world.Watcher.
func (o *Oracle) Called(name env.Endpoint, op disk.Operation) {
	h := o.hosts[name]
	if h == nil || op.Kind == disk.Sync {
		return
	}
	if strings.HasPrefix(op.Name, journalFolder) {
		if op.Kind == disk.Write {
			h.written.take(op.Data)
		}
		return
	}
	if _, ok := segmentOf(op.Name); !ok {
		return
	}
	if op.Kind == disk.Remove || op.Position < h.parsed[op.Name].bytes {
		delete(h.parsed, op.Name) // what is written again, or left of it, is read again
	}
	if op.Kind == disk.Write {
		o.rewrite(h, op)
		o.readSegment(h, op.Name, true)
	}
}

// Durable is part of world.Watcher.
func (o *Oracle) Durable(name env.Endpoint, op disk.Operation) {
	h := o.hosts[name]
	if h == nil || !strings.HasPrefix(op.Name, journalFolder) {
		return
	}
	for _, u := range h.durable.take(op.Data) {
		if im := h.durable.image(u.Group); im != nil && im.forgot {
			o.fail(PromiseBroken, "%s: the journal takes back a vote or a term of group %d: it has %+v now", h.name, u.Group, im.hard)
		}
		o.checkMarks(h, u)
	}
}

// Sent is part of world.Watcher.
func (o *Oracle) Sent(from, to env.Endpoint, m *api.Message) {
	switch body := m.GetBody().(type) {
	case *api.Message_Peer:
		o.peer(from, body.Peer)
	case *api.Message_Request:
		o.request(from, to, body.Request)
	case *api.Message_Response:
		o.response(from, to, body.Response)
	}
}

const (
	journalFolder = "journal/"
	groupsFolder  = "groups/"
)

// segmentOf gives the group of a segment file's name,
// groups/<group>/<replica>-<folder>/<index>.seg.
func segmentOf(name string) (api.GroupID, bool) {
	if !strings.HasPrefix(name, groupsFolder) || !strings.HasSuffix(name, ".seg") {
		return 0, false
	}
	var group uint64
	for _, c := range []byte(name[len(groupsFolder):]) {
		if c == '/' {
			return api.GroupID(group), true
		}
		if c < '0' || c > '9' {
			return 0, false
		}
		group = group*10 + uint64(c-'0')
	}
	return 0, false
}
