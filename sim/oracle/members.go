package oracle

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// checkMembers holds a change of a partition's replicas against what was asked for: nobody
// wants fewer of them, and one that meta has recorded to be out stays out, for its node may
// throw it away at any time.
func (o *Oracle) checkMembers(g *group, at api.Index, before, after *raftpb.ConfState) {
	if g.id == api.MetaGroup {
		return
	}
	if founders := g.machine.firstConf.GetVoters(); len(after.GetVoters()) < len(founders) {
		o.fail(TooFewVoters, "entry %d of group %d makes voters %v of %v: it began with %d, and nobody asked for fewer",
			at, g.id, after.GetVoters(), before.GetVoters(), len(founders))
	}
	p := o.Meta().PartitionOf(g.id)
	if p == nil {
		return
	}
	old := members(before)
	for _, id := range members(after) {
		if r := api.ReplicaID(id); !slices.Contains(old, id) && r <= p.LastReplica() && p.NodeOf(r) == 0 {
			o.fail(BroughtBack, "entry %d of group %d brings replica %d back, which meta has recorded to be out; replicas were %v", at, g.id, id, old)
		}
	}
}

// members are all replicas of a configuration.
func members(c *raftpb.ConfState) []uint64 {
	return slices.Concat(c.GetVoters(), c.GetVotersOutgoing(), c.GetLearners(), c.GetLearnersNext())
}
