package sim

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// LeaseBroken: a member of the consumer group was told that it may read a partition, and
// before its session was over that was not so any more; or it read on after another had
// begun.
const LeaseBroken = "lease-broken"

// stay is one membership of a rogue, and what it may rely on because of what it was told.
// It has one question under way at a time, so its answers come in order.
type stay struct {
	run *run
	id  uint64
	// thief: it has taken the place of another member of its instance, which does not know
	// yet: what it owns, that may still read.
	thief              bool
	session, rebalance env.Time
	epoch              uint64
	// keeps and gives are what it was last told.
	keeps, gives map[int32]bool
	// kept is the last epoch in which it was told to keep a partition.
	kept map[int32]uint64
	// offered is what it has said that it gives up, and in which epoch last: whenever that
	// arrives, the partition goes, unless it was told to keep it as of a later epoch.
	offered map[int32]uint64
	// reading are the partitions whose begin the history has.
	reading map[int32]bool
	// heard is when it asked what was last answered.
	heard env.Time
	// until is when nothing need be its own any more, and prompt until when it cannot have
	// been too slow to give anything up.
	until, prompt env.Time
}

// forGood is an epoch that none comes after.
const forGood = 1 << 62

// leaps is what a clock that stood still may seem to have gone on at once; see lived of
// package broker.
const leaps = env.Second

// lasts is how much of a time that the coordinator counts has passed for sure by the true
// clock: a node's may be fast, and may leap if it stood still.
func (r *run) lasts(t env.Time) env.Time {
	t = t * 4 / 5
	if r.freezes() {
		t -= leaps
	}
	return t
}

// freezes reports whether clocks stand still now and then, and leap when they go on.
func (r *run) freezes() bool {
	return slices.ContainsFunc(r.plan.Faults, func(f plan.Fault) bool { return f.Kind == plan.Freeze })
}

func numbersOf(list []*api.GroupPartition) map[int32]bool {
	all := make(map[int32]bool)
	for _, p := range list {
		all[p.GetPartition()] = true
	}
	return all
}

func (s *stay) owned() []int32 {
	all := maps.Clone(s.keeps)
	maps.Copy(all, s.gives)
	return slices.Sorted(maps.Keys(all))
}

// claims reports whether a partition is the member's beyond doubt.
func (s *stay) claims(p int32) bool {
	_, offered := s.offered[p]
	return !s.thief && s.run.world.Agenda.Now() < s.until && (s.keeps[p] || s.gives[p]) && !offered
}

// hear takes what the member was told in answer to a question that was sent at a time.
func (s *stay) hear(sent env.Time, told *api.MembershipResponse) {
	keeps, gives := numbersOf(told.GetKeeps()), numbersOf(told.GetGives())
	for _, p := range s.owned() {
		if _, offered := s.offered[p]; !offered && !keeps[p] && !gives[p] {
			s.run.fail(LeaseBroken, "member %d owns partition %d in epoch %d, has not given it up, and in epoch %d does not own it",
				s.id, p, s.epoch, told.GetEpoch())
		}
	}
	s.epoch, s.keeps, s.gives = told.GetEpoch(), keeps, gives
	for _, p := range slices.Sorted(maps.Keys(keeps)) {
		s.kept[p] = s.epoch
		if at, offered := s.offered[p]; offered && at < s.epoch {
			delete(s.offered, p)
		}
	}
	s.heard, s.until = sent, sent+s.run.lasts(s.session)
	if len(gives) == 0 {
		s.prompt = sent + s.run.lasts(s.rebalance)
	}
}

// ended hears that the member is none.
func (s *stay) ended(what *api.Error) {
	if now := s.run.world.Agenda.Now(); now < s.until && now < s.prompt {
		s.run.fail(LeaseBroken, "member %d beats in time, and %d ms before its session can be over it is told %v",
			s.id, (s.until-now)/env.Millisecond, what)
	}
}

// fenced hears that the member is none because another client has joined by its instance's
// name. That may be one that was started again, and none that was fenced itself.
func (s *stay) fenced(what *api.Error) {
	if !slices.ContainsFunc(s.run.plan.Faults, func(f plan.Fault) bool { return f.Kind == plan.CrashClient }) {
		s.ended(what)
	}
}

// note puts beside the history that the member begins or ends to read a partition.
func (s *stay) note(op histories.Op, p int32, at api.Offset) {
	s.run.recorder.Note(s.run.now(), histories.Note{
		Op: op, Group: groupName, Member: s.id, Topic: s.run.plan.Workload.Topic, Partition: api.Partition(p),
		Offset: at, Committed: op == histories.Assigned,
	})
}

// stops notes that the member reads partitions no more: in order, if they are still its own.
func (s *stay) stops(list []int32) {
	for _, p := range list {
		op := histories.Lost
		if s.claims(p) {
			op = histories.Revoked
		}
		if s.reading[p] {
			delete(s.reading, p)
			s.note(op, p, 0)
		}
	}
}

// begins holds what another member has been told against the stays of rogues: nobody begins
// to read what is another's.
func (g *readers) begins(member uint64, p int32) {
	g.latest[p] = member
	for _, s := range g.stays {
		if s.id != member && s.claims(p) {
			g.run.fail(LeaseBroken, "member %d begins to read partition %d, which is member %d's for %d ms more at least",
				member, p, s.id, (s.until-g.run.world.Agenda.Now())/env.Millisecond)
		}
	}
}

// handed holds records that a member was handed against who has begun to read since: a
// member has stopped by then, whatever it has heard. A static one whose place a rogue has
// taken cannot know.
func (g *readers) handed(member uint64, p int32) {
	latest, known := g.latest[p]
	if !known || latest == member {
		return
	}
	if !slices.ContainsFunc(g.run.clients, func(c *client) bool { return c.member != nil && c.member.IsStatic(member) }) {
		g.run.fail(LeaseBroken, "member %d is handed records of partition %d, which member %d has begun to read", member, p, latest)
	}
}

// equalClocks reports whether a member's clock runs as its coordinator's does, which is
// what it judges its own time by.
func (r *run) equalClocks() bool {
	return !slices.ContainsFunc(r.plan.Faults, func(f plan.Fault) bool {
		return f.Kind == plan.ClientClock || f.Kind == plan.Drift || f.Kind == plan.Freeze
	})
}
