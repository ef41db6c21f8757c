package replica

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
)

// owing is how a follower's clock stands still while it hears its leader. A heartbeat sets
// raft's election clock to zero, so what passes until the next one matters only if that does
// not come. Ticks in between are owed to raft, which is not told of them unless something
// else happens; raft then is where it would be with every tick told at once. What that saves
// is to fetch the memory of raft and of its progress for most ticks of most idle groups.
type owing struct {
	// since: the last thing raft was told is a heartbeat of the leader.
	since bool
	ticks int
}

// maxOwed ticks are owed at most. No election is due in fewer than electionTicks after a
// heartbeat, and two heartbeats may be late before raft has to count itself.
const maxOwed = 2*heartbeatTicks + 1

// restTicks is how long a log has to be idle, or up to twice as long, before nothing of it is
// kept in memory.
const restTicks = 600

// Tick moves the group's clock on by a number of ticks.
func (r *Replica) Tick(ticks int) {
	owes := r.owing.since && r.owing.ticks+ticks <= maxOwed
	if owes {
		r.owing.ticks += ticks
	} else {
		r.settle()
	}
	if r.role.State == raft.StateLeader {
		r.keepPace(ticks)
	}
	for range ticks {
		if !owes {
			r.raft.Tick()
		}
		r.expireReads()
		r.expireSnapshots()
		r.expireImport()
	}
	if !owes {
		r.pumpIfReady()
	}
	if r.unrested += ticks; r.unrested >= restTicks {
		r.unrested = 0
		r.rest()
	}
}

// rest lets go of what is remembered of a log that nobody uses.
func (r *Replica) rest() {
	if r.store != nil {
		r.store.Rest()
	}
	if !r.loads.running && !r.loads.used {
		r.loads.entries = nil
	}
	r.loads.used = false
}

// settle tells raft of the ticks that it is owed. It comes before whatever may go by raft's
// election clock, or change the replica's part.
func (r *Replica) settle() {
	for range r.owing.ticks {
		r.raft.Tick()
	}
	r.owing = owing{}
}

// step hands a message to raft, whose only errors say that it dropped it.
func (r *Replica) step(m *raftpb.Message) {
	if m.GetType() == raftpb.MsgHeartbeat && api.Index(m.GetCommit()) > r.image.Last() && api.Term(m.GetTerm()) >= r.image.Hard.Term {
		// A leader tells no more than what this replica has told it that it has, durably.
		r.cfg.Host.Fail(fmt.Errorf("group %d: its leader counts on entry %d here, and the journal ends with %d: an older copy of the data folder? %w",
			r.cfg.Group, m.GetCommit(), r.image.Last(), journal.ErrDamaged))
		return
	}
	beat := r.isBeat(m)
	if !beat {
		r.settle()
	}
	_ = r.raft.Step(m)
	if beat {
		r.owing = owing{since: true}
	}
	r.pumpIfReady()
}

// isBeat reports whether a message is a heartbeat of the leader that the replica follows,
// which raft's election clock begins anew with.
func (r *Replica) isBeat(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgHeartbeat && !r.dirty &&
		r.role == Role{raft.StateFollower, api.Term(m.GetTerm()), api.ReplicaID(m.GetFrom())}
}
