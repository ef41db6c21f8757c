package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/reprise-mq/reprise/broker/api"
)

// Membership is the configuration that a group ought to have.
type Membership struct {
	Voters, Learners []api.ReplicaID // each ascending
}

// Reconcile moves the group one step towards the membership that meta wants, if
// this replica leads: newcomers enter as learners; when all that shall vote have
// caught up, one joint change promotes them and removes who shall go. It reports
// whether the committed configuration is the wanted one. Calling it again after
// any interruption goes on from wherever the group stands.
func (r *Replica) Reconcile(want Membership) (settled bool) {
	if !r.Serves() || len(want.Voters) == 0 || len(r.conf.GetVotersOutgoing()) > 0 {
		return false
	}
	changes := r.nextChange(want)
	if len(changes) == 0 {
		return sameMembers(r.conf, want)
	}
	if leaving(changes, r.cfg.ID) {
		// The others go on once one of them leads. If none of them votes yet, they get
		// their votes first: so the last replica of a group can move too.
		if to, ok := r.fittest(want.Voters); ok {
			r.Transfer(to)
			return false
		}
		changes = slices.DeleteFunc(changes, func(c *raftpb.ConfChangeSingle) bool { return c.GetType() != raftpb.ConfChangeAddNode })
		if len(changes) == 0 {
			return false
		}
	}
	_ = r.raft.ProposeConfChange(&raftpb.ConfChangeV2{
		Transition: raftpb.ConfChangeTransitionAuto.Enum(),
		Changes:    changes,
	})
	r.NeedPump()
	return false
}

// Has reports whether the configuration, as far as it is applied here, is a certain one.
func (r *Replica) Has(m Membership) bool {
	return len(r.conf.GetVotersOutgoing()) == 0 && sameMembers(r.conf, m)
}

// nextChange is what to propose now; nothing while newcomers catch up.
func (r *Replica) nextChange(want Membership) []*raftpb.ConfChangeSingle {
	voters, learners := ids(r.conf.GetVoters()), ids(r.conf.GetLearners())
	for _, id := range slices.Concat(want.Voters, want.Learners) {
		if !slices.Contains(voters, id) && !slices.Contains(learners, id) {
			return single(raftpb.ConfChangeAddLearnerNode, id)
		}
	}
	var changes []*raftpb.ConfChangeSingle
	for _, id := range want.Voters {
		if slices.Contains(voters, id) {
			continue
		}
		if !r.CaughtUp(id) {
			return nil
		}
		changes = append(changes, single(raftpb.ConfChangeAddNode, id)...)
	}
	for _, id := range slices.Concat(voters, learners) {
		switch {
		case slices.Contains(want.Voters, id):
		case slices.Contains(want.Learners, id):
			if slices.Contains(voters, id) {
				changes = append(changes, single(raftpb.ConfChangeAddLearnerNode, id)...)
			}
		default:
			changes = append(changes, single(raftpb.ConfChangeRemoveNode, id)...)
		}
	}
	return changes
}

// CaughtUp reports whether a follower, or a learner, is there and has what was committed
// some ticks ago, as far as this replica knows: only a leader knows of any. How many
// entries it is behind says nothing: on a long way, under load, it is always behind by as
// many as are under way (Ongaro's thesis, 4.2.1).
func (r *Replica) CaughtUp(id api.ReplicaID) (ok bool) {
	r.raft.WithProgress(func(peer uint64, _ raft.ProgressType, p tracker.Progress) {
		if peer == uint64(id) {
			ok = p.State == tracker.StateReplicate && p.RecentActive && api.Index(p.Match) >= r.pace.before
		}
	})
	return ok
}

// pace is how far the group was a while ago, as its leader saw it.
type pace struct {
	// last is the commit index of so many ticks ago, and before of paceTicks earlier, or of
	// the leader's election.
	before, last api.Index
	ticks        int
}

// paceTicks are half of the shortest time in which a leader is missed: nobody who is at
// most twice as far behind holds the group up for longer than an election would.
const paceTicks = electionTicks / 2

// keepPace moves a leader's clock on.
func (r *Replica) keepPace(ticks int) {
	if r.pace.ticks += ticks; r.pace.ticks >= paceTicks {
		r.pace = pace{before: r.pace.last, last: r.commit()}
	}
}

func (r *Replica) commit() api.Index { return api.Index(r.raft.BasicStatus().GetCommit()) }

// Fit reports whether leadership can be handed to a follower without a gap.
func (r *Replica) Fit(id api.ReplicaID) bool {
	return slices.Contains(r.conf.GetVoters(), uint64(id)) && r.CaughtUp(id)
}

// Successor is a fit voter to hand leadership to, of those that are suitable too, if
// there is one.
func (r *Replica) Successor(suitable func(api.ReplicaID) bool) (api.ReplicaID, bool) {
	voters := slices.DeleteFunc(ids(r.conf.GetVoters()), func(id api.ReplicaID) bool { return !suitable(id) })
	return r.fittest(voters)
}

// fittest is the first of the candidates, other than this replica, that is fit.
func (r *Replica) fittest(candidates []api.ReplicaID) (api.ReplicaID, bool) {
	for _, id := range candidates {
		if id != r.cfg.ID && r.Fit(id) {
			return id, true
		}
	}
	return 0, false
}

func single(kind raftpb.ConfChangeType, id api.ReplicaID) []*raftpb.ConfChangeSingle {
	return []*raftpb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(uint64(id))}}
}

func leaving(changes []*raftpb.ConfChangeSingle, id api.ReplicaID) bool {
	return slices.ContainsFunc(changes, func(c *raftpb.ConfChangeSingle) bool {
		return c.GetNodeId() == uint64(id) && c.GetType() != raftpb.ConfChangeAddNode
	})
}

func sameMembers(conf *raftpb.ConfState, want Membership) bool {
	return slices.Equal(ids(conf.GetVoters()), want.Voters) && slices.Equal(ids(conf.GetLearners()), want.Learners)
}

// ids are raft's numbers as ours, ascending.
func ids(numbers []uint64) []api.ReplicaID {
	list := make([]api.ReplicaID, len(numbers))
	for i, n := range numbers {
		list[i] = api.ReplicaID(n)
	}
	slices.Sort(list)
	return list
}

// changed is the configuration after a change, without a RawNode: what raft does
// at apply, for entries that are applied again at recovery.
func changed(conf *raftpb.ConfState, change raftpb.ConfChangeI) (*raftpb.ConfState, error) {
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0)}
	cfg, progress, err := confchange.Restore(changer, conf)
	if err != nil {
		return nil, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	v2 := change.AsV2()
	if v2.LeaveJoint() {
		cfg, progress, err = changer.LeaveJoint()
	} else if autoLeave, joint := v2.EnterJoint(); joint {
		cfg, progress, err = changer.EnterJoint(autoLeave, v2.Changes...)
	} else {
		cfg, progress, err = changer.Simple(v2.Changes...)
	}
	if err != nil {
		return nil, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	return changer.Tracker.ConfState(), nil
}
