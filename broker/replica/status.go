package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/reprise-mq/reprise/broker/api"
)

// Status is a replica as raft sees it.
type Status struct {
	Role   string // "leader", "follower", "candidate", "pre-candidate" or "learner"
	Term   api.Term
	Leader api.ReplicaID
	Commit api.Index
	// Of the other replicas, on a leader only, ascending by id.
	Progress []*api.PeerProgress
}

// Status gives the replica's present status.
func (r *Replica) Status() Status {
	basic := r.raft.BasicStatus()
	s := Status{
		Role: r.roleName(basic.RaftState), Term: api.Term(basic.GetTerm()),
		Leader: api.ReplicaID(basic.Lead), Commit: api.Index(basic.GetCommit()),
	}
	if basic.RaftState != raft.StateLeader {
		return s
	}
	r.raft.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != uint64(r.cfg.ID) {
			s.Progress = append(s.Progress, &api.PeerProgress{Replica: id, Match: p.Match, State: stateName(p.State)})
		}
	})
	return s
}

// Copying says how many bytes of how many the replica has of the log that it copies from
// another; 0 of 0 while it copies none.
func (r *Replica) Copying() (done, of int64) {
	if im := r.snapshots.importing; im != nil {
		return im.files.Progress()
	}
	return 0, 0
}

func (r *Replica) roleName(state raft.StateType) string {
	switch state {
	case raft.StateLeader:
		return "leader"
	case raft.StateCandidate:
		return "candidate"
	case raft.StatePreCandidate:
		return "pre-candidate"
	}
	if !slices.Contains(r.conf.GetVoters(), uint64(r.cfg.ID)) {
		return "learner"
	}
	return "follower"
}

func stateName(state tracker.StateType) string {
	switch state {
	case tracker.StateReplicate:
		return "replicate"
	case tracker.StateSnapshot:
		return "snapshot"
	}
	return "probe"
}

// Members lists the other replicas of the group's configuration, ascending.
func (r *Replica) Members() []api.ReplicaID {
	all := slices.Concat(r.conf.GetVoters(), r.conf.GetLearners(), r.conf.GetVotersOutgoing())
	members := slices.Compact(ids(all))
	return slices.DeleteFunc(members, func(id api.ReplicaID) bool { return id == r.cfg.ID })
}

// Folder is where the live segments stand, "" in a joiner without a snapshot.
func (r *Replica) Folder() string {
	if r.store == nil {
		return ""
	}
	return folderName(r.cfg, r.folder)
}
