package plan

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/sim/prng"
)

const (
	// GroupName is the consumer group of a run that has one.
	GroupName = "readers"
	// GroupShards is how many shards groups are in; see broker.Config.
	GroupShards = 8
	// GroupSegmentBytes is the least that a segment of theirs may have, so that the state of a
	// shard is saved often; see broker.Config.
	GroupSegmentBytes = 4 * kibi
)

// Coordinator is the partition of the shard that the consumer group is in.
func Coordinator() Target {
	return Target{Topic: api.GroupsTopic, Partition: int32(api.GroupShard(GroupName, GroupShards))}
}

// group gives the workload a consumer group, and in two seeds of three members that do not
// keep to its rules.
func (g *generator) group() {
	w := &g.plan.Workload
	w.Members = int(g.seed.Split("group").Between(2, 4))
	s := g.seed.Split(string(RogueMember))
	if s.Chance(1, 3) {
		return
	}
	g.add(s, RogueMember, s.Between(1, 3), func(s *prng.Stream, f *Fault) {
		f.Length, f.Strength = between(s, 4_000, 15_000), s.Between(20, 80)
	})
}

// coordinators hits whoever leads the group's shard, as far as the families allow.
func (g *generator) coordinators() {
	leader := Coordinator()
	leader.Role = Leader
	if !g.plan.Workload.Grouped() {
		return
	}
	s := g.seed.Split("coordinators")
	for _, rogue := range g.plan.Faults {
		if rogue.Kind == RogueMember && g.plan.Families.Disk && s.Chance(1, 2) {
			// What ends a member is long on its way.
			g.then(Fault{Kind: SlowDisk, At: rogue.At, Length: rogue.Length, Target: leader, Strength: s.Between(20, 100)})
		}
	}
	for range s.Between(1, 3) {
		f := Fault{At: between(s, int64(quiet), int64(g.plan.Safety)-10_000), Target: leader, Length: between(s, 500, 5_000)}
		switch s.Below(4) {
		case 0:
			f.Kind = Crash
			crash(s, &f)
		case 1:
			f.Kind = Pause
		default:
			f.Kind = Isolate
		}
		if f.Kind == Isolate && g.plan.Families.Network || f.Kind != Isolate && g.plan.Families.Process {
			g.then(f)
		}
	}
	if g.plan.Families.Network {
		// A member that its coordinator does not hear reads on until its session is over.
		g.some(CutClient, 1, 3, func(s *prng.Stream, f *Fault) {
			f.Target, f.Length = leader, between(s, 3_000, 15_000)
			f.Client = g.plan.Workload.Clients + int(s.Below(int64(g.plan.Workload.Members)))
		})
	}
}
