// Package replica is one raft group on one node: a raft.RawNode with
// asynchronous storage writes, its share of the node's journal, its segments, and
// the state machine that its entries drive.
//
// It owns the order in which these meet: what raft wants durable goes to the
// journal and is answered when the sync that covers it has returned; what raft
// says is committed is applied to the machine and appended to the segments; what
// a follower lacks comes from memory, from segments, or as a snapshot. It never
// knows what an entry means, who the clients are, or where a peer lives.
package replica

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// Machine is what a group agrees on. The same entries in the same order give the
// same state and the same saved bytes on every replica.
type Machine interface {
	// Apply takes a committed entry and says how many records it adds to the
	// log; each takes an offset. Data may be empty. It must not fail: what an
	// entry asks for and cannot have is an outcome.
	Apply(index api.Index, data []byte) (records int32)
	// Save encodes the state.
	Save() []byte
	// Restore replaces the state with a saved one.
	Restore(state []byte) error
	// SegmentBytes is the size at which the group's segments roll; it is part of
	// the state.
	SegmentBytes() uint64
	// LogStart is the first offset that is kept of the log.
	LogStart() api.Offset
}

// Host is the node around a replica.
type Host interface {
	// Transmit sends a message to another replica of the group. It may be lost.
	Transmit(group api.GroupID, m *raftpb.Message)
	// CopyFrom asks the node that holds a replica for a range of a segment.
	CopyFrom(group api.GroupID, replica api.ReplicaID, segment api.Index, position int64, length int, done func([]byte, error))
	// CopyFromAny asks one of the other nodes that hold the group for a range of a
	// segment; the next attempt asks another.
	CopyFromAny(group api.GroupID, attempt int, segment api.Index, position int64, length int, done func([]byte, error))
	// Pause calls then after a while, the longer the more often in a row.
	Pause(times int, then func())
	// LogLost says that the log of a group that waits to be restored is to be had from
	// nobody any more. It may be said again and again.
	LogLost(group api.GroupID)
	// Waits reports whether anybody waits for a log that is being restored.
	Waits(group api.GroupID) bool
	// Dirty says that the replica has work for Pump; once until Pump is called.
	Dirty(r *Replica)
	// Changed says that the replica's role, term or leader is another.
	Changed(r *Replica)
	// Fail says that the node cannot go on.
	Fail(err error)
}

// Config describes one replica.
type Config struct {
	Group   api.GroupID
	ID      api.ReplicaID
	Folder  string // of the group; each log has a numbered folder in it
	Machine Machine
	Host    Host
	Files   *files.Files
	Journal *journal.Journal
	Trace   trace.Sink
	// Nonce differs between the lives of a node, so that no answer to a read of
	// an earlier life is taken for one of this.
	Nonce uint64
	// CheckpointBytes is how much the journal holds of the group before its
	// segments are synced.
	CheckpointBytes int
	// CopyBytes of a segment are asked of another replica at once.
	CopyBytes int
}

// Bounds of one group, and its clock in ticks. A tick is the node's (see
// broker.Config).
const (
	electionTicks = 10
	// One heartbeat may be lost before a leader is missed, and two in a row but for the
	// shortest election timeouts.
	heartbeatTicks = 3
	// A read that no quorum confirms in this time fails; it may be asked again.
	readPatienceTicks = 2 * electionTicks
	// A follower that was sent a snapshot and asked for nothing in this time is
	// sent another.
	snapshotPatienceTicks = 6 * electionTicks

	maxMessageBytes     = 1 << 20
	maxInflightMessages = 256
	maxInflightBytes    = 16 << 20
	maxUncommittedBytes = 64 << 20
	maxApplyBytes       = 4 << 20
)

// ErrReadLost: a read could not be confirmed: the leadership changed, or no
// quorum answered in time. Nothing happened; ask again.
var ErrReadLost = errors.New("read not confirmed by a quorum")

// ErrReadsFull: too many reads of the group wait already. Ask again after a pause.
var ErrReadsFull = errors.New("too many reads wait")

// Replica is one incarnation of a group's member.
type Replica struct {
	cfg     Config
	raft    *raft.RawNode
	machine Machine
	// The journal's image of the group: entries above the last checkpoint. Not
	// nil; the journal keeps the pointer valid until the replica is destroyed.
	image *journal.Image
	// The committed log. nil in a joiner until its first snapshot.
	store *segment.Store
	// The group's configuration as of the last applied entry. Not nil.
	conf *raftpb.ConfState
	// Index of the last applied configuration entry.
	confIndex api.Index
	// Term of the last applied entry.
	appliedTerm api.Term
	// What the host was last told.
	role Role

	owing     owing
	pace      pace
	reads     reads
	snapshots snapshots
	loads     loads

	// Folder number of the live log, and of the newest one ever begun.
	folder, lastFolder uint64
	checkpointing      bool
	// Ticks since what is remembered of an idle log was last let go of.
	unrested int
	// A configuration is being applied: no snapshot can be given, for the log and
	// the configuration do not fit each other.
	changing bool
	// Whole segments below this offset may go at the next checkpoint.
	dropBefore api.Offset
	// The host was told that there is work.
	dirty bool
	// Set by Close: late answers of disk and peers find nobody.
	closed bool
}

// Role is a replica's part in its group.
type Role struct {
	State  raft.StateType
	Term   api.Term
	Leader api.ReplicaID // 0 when unknown
}

// Group is the replica's group.
func (r *Replica) Group() api.GroupID { return r.cfg.Group }

// ID is the replica's raft id.
func (r *Replica) ID() api.ReplicaID { return r.cfg.ID }

// Role is the replica's part as of the last Pump.
func (r *Replica) Role() Role { return r.role }

// Leads reports whether the replica believes that it leads.
func (r *Replica) Leads() bool {
	return r.raft.BasicStatus().RaftState == raft.StateLeader
}

// Serves reports whether the replica leads and has applied an entry of its own
// term, so that its state holds everything acknowledged before it was elected.
func (r *Replica) Serves() bool {
	return r.role.State == raft.StateLeader && r.appliedTerm == r.role.Term
}

// Applied is the index of the last applied entry, 0 in a new joiner.
func (r *Replica) Applied() api.Index {
	if r.store == nil {
		return 0
	}
	return r.store.Last()
}

// Store is the committed log, nil in a joiner that has had no snapshot.
func (r *Replica) Store() *segment.Store { return r.store }

// Conf is the configuration as of the last applied entry, and the index of the
// entry that made it. The caller must not change it.
func (r *Replica) Conf() (*raftpb.ConfState, api.Index) { return r.conf, r.confIndex }

// Step takes a message of another replica. Messages for an earlier or later
// incarnation are dropped.
func (r *Replica) Step(m *raftpb.Message) {
	if r.closed || m.GetTo() != uint64(r.cfg.ID) || raft.IsLocalMsg(m.GetType()) {
		return
	}
	if m.GetType() == raftpb.MsgSnap && r.offerSnapshot(m) || r.takesBack(m) {
		return
	}
	r.step(m)
}

// takesBack reports whether a follower refuses an append after entries that it has
// acknowledged in this term. That is an answer which the network held up, or a
// follower that has lost what it had promised. raft answers a probe that is refused
// with the next, and here that would be the same one again: two nodes would talk
// without end and without a pause. Dropped, it is asked again at the next heartbeat.
func (r *Replica) takesBack(m *raftpb.Message) bool {
	if m.GetType() != raftpb.MsgAppResp || !m.GetReject() || m.GetTerm() != r.raft.BasicStatus().GetTerm() {
		return false
	}
	match := uint64(0)
	r.raft.WithProgress(func(peer uint64, _ raft.ProgressType, p tracker.Progress) {
		if peer == m.GetFrom() {
			match = p.Match
		}
	})
	return match > 0 && m.GetIndex() <= match
}

// NeedPump has the host call Pump at its next flush.
func (r *Replica) NeedPump() {
	if !r.dirty {
		r.dirty = true
		r.cfg.Host.Dirty(r)
	}
}

// pumpIfReady asks for a Pump after what often gives raft nothing to do: most ticks, and
// the answers to heartbeats. It costs less than the Pump would.
func (r *Replica) pumpIfReady() {
	if !r.dirty && r.raft.HasReady() {
		r.NeedPump()
	}
}

// Propose appends data to the log if the replica leads. An error means that it
// did not and will not happen.
func (r *Replica) Propose(data []byte) error {
	r.NeedPump()
	return r.raft.Propose(data)
}

// Campaign starts an election at once.
func (r *Replica) Campaign() {
	r.settle()
	_ = r.raft.Campaign()
	r.NeedPump()
}

// ForgetLeader says that the leader may be gone: until it is heard again, votes are
// not refused for its sake.
func (r *Replica) ForgetLeader() {
	r.settle()
	_ = r.raft.ForgetLeader()
	r.NeedPump()
}

// Transfer hands leadership to another replica, if it leads and the other is fit.
func (r *Replica) Transfer(to api.ReplicaID) {
	r.raft.TransferLeader(uint64(to))
	r.NeedPump()
}

// Unreachable says that what was sent to a peer may be lost.
func (r *Replica) Unreachable(peer api.ReplicaID) {
	r.raft.ReportUnreachable(uint64(peer))
	r.NeedPump()
}

// DropBefore lets the next checkpoint unlink the segments below an offset. The
// group must have agreed on it.
func (r *Replica) DropBefore(offset api.Offset) { r.dropBefore = max(r.dropBefore, offset) }

// Close ends the replica in memory; the journal and the files keep what they have.
func (r *Replica) Close() {
	r.closed = true
	r.FailReads()
}

// Destroy ends the replica for good: the journal's mark is synced before the
// files go, so that it cannot come back with its promises forgotten. A copy that is under
// way stands for none. done is called when the files are gone.
func (r *Replica) Destroy(done func()) {
	r.Close()
	if r.snapshots.importing != nil {
		r.abandonImport()
	}
	Discard(r.cfg, done)
}

// Checkpoint syncs the group's segments, tells the journal that it needs the
// entries no more, and unlinks what retention has given up.
func (r *Replica) Checkpoint() {
	if r.checkpointing || r.closed || r.store == nil || r.snapshots.importing != nil {
		return
	}
	r.checkpointing = true
	store, before := r.store, r.dropBefore
	store.Checkpoint(func(at segment.Position, err error) {
		if err != nil {
			r.cfg.Host.Fail(err)
			return
		}
		if r.closed || r.store != store {
			r.checkpointing = false
			return
		}
		mark := journal.Checkpoint(at)
		r.cfg.Journal.Append(journal.Update{Group: r.cfg.Group, Checkpoint: &mark}, func() {
			r.drop(store, before, func() {
				r.checkpointing = false
				r.NeedPump() // another may be due already
			})
		})
	})
}

// drop has what retention has given up unlinked. What was being restored of that, and is no
// part of the log yet, goes first: else a crash could leave it there without what followed it.
func (r *Replica) drop(store *segment.Store, before api.Offset, done func()) {
	if r.closed || r.store != store || store.Droppable(before) == 0 {
		done()
		return
	}
	segment.RemoveUpTo(r.cfg.Files, folderName(r.cfg, r.folder), store.First()-1, func(err error) {
		switch {
		case r.closed || r.store != store:
		case err != nil:
			r.cfg.Host.Fail(err)
			return
		default:
			store.Drop(before)
		}
		done()
	})
}

// checkpointIfDue bounds what the journal holds of the group.
func (r *Replica) checkpointIfDue() {
	if r.store == nil {
		return
	}
	held := r.image.Bytes() >= r.cfg.CheckpointBytes && r.store.Last() >= r.image.First()
	if held || r.dropBefore > 0 && r.store.Droppable(r.dropBefore) > 0 {
		r.Checkpoint()
	}
}
