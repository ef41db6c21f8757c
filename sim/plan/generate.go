package plan

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/prng"
	"github.com/reprise-mq/reprise/workloads"
)

// Units of a network profile.
const (
	microsecond = netsim.Time(1_000)
	millisecond = 1_000 * microsecond
)

// hour in milliseconds.
const hour = 3_600_000

// kibi is 1024 bytes.
const kibi = 1024

// ReserveBytes is what nodes keep of their disks; see broker.Config. It has to be more
// than what a node writes between two ticks, when it hears at once all that it missed.
const ReserveBytes = 1024 * kibi

// ScrubBytes is how much a node reads in a tick to find damage; see broker.Config.
// Its logs are small, so that it comes round often all the same.
const ScrubBytes = 8 * kibi

// generator makes the plan of one seed. Each kind of fault draws from a stream of
// its own, so that a kind added later leaves the others as they are.
type generator struct {
	plan *Plan
	seed *prng.Stream
}

// newGenerator begins the plan of a seed.
func newGenerator(seed uint64) *generator {
	g := &generator{seed: prng.New(seed).Split("plan")}
	g.plan = &Plan{
		Format: Format, Seed: seed, Nodes: 3,
		Safety: 60_000, Liveness: 30_000,
		Workload: workloads.Standard,
		Faults:   []Fault{},
	}
	return g
}

// Generate makes the standard plan of a seed.
func Generate(seed uint64) *Plan {
	g := newGenerator(seed)
	g.workload(shares[g.seed.Split("workload").Below(int64(len(shares)))])
	return g.standard()
}

func (g *generator) standard() *Plan {
	g.families()
	g.faults()
	g.finish(workloads.Generate(g.plan.Seed, g.plan.Workload))
	return g.plan
}

// faults draws all there are of the families that are on.
func (g *generator) faults() {
	g.config()
	g.process()
	g.disk()
	g.network()
	g.membership()
	g.turnover()
	g.clock()
	g.load()
	g.scenarios()
	g.coordinators()
}

// GenerateUnrestricted makes a plan of a seed that keeps no majority from damage. What
// is rolled back to an older state is left out: no node can tell that of itself, and with
// a majority of them what was acknowledged is gone without a trace.
func GenerateUnrestricted(seed uint64) *Plan {
	g := newGenerator(seed)
	g.plan.Unrestricted = true
	g.families()
	g.plan.Families.Process, g.plan.Families.Disk, g.plan.Blackout = true, true, false
	g.faults()
	g.havoc()
	g.finish(workloads.Generate(seed, g.plan.Workload))
	return g.plan
}

// havoc damages what all nodes have: the same place of a segment on each at one time, or
// journals, or whole disks.
func (g *generator) havoc() {
	s := g.seed.Split("havoc")
	for range s.Between(1, 4) {
		at, kind := between(s, 5_000, 50_000), BitFlip
		if s.Chance(1, 3) {
			kind = BadSector
		}
		hit := s.Between(2, int64(g.plan.Nodes))
		strength := s.Between(1, 8)
		for node := range hit {
			g.then(Fault{Kind: kind, At: at, Target: Target{Node: int(node) + 1}, Strength: strength})
		}
	}
	for node := range int64(g.plan.Nodes) {
		at := between(s, 5_000, 55_000)
		switch s.Below(6) {
		case 0:
			g.then(Fault{Kind: []Kind{JournalRot, JournalRot, LostJournal}[s.Below(3)], At: at, Target: Target{Node: int(node) + 1}})
		case 1:
			if s.Chance(1, 3) {
				g.then(Fault{Kind: LostDisk, At: at, Target: Target{Node: int(node) + 1}})
			}
		}
	}
}

// finish puts the faults in order and the clients' operations beside them.
func (g *generator) finish(operations []workloads.Op) {
	slices.SortStableFunc(g.plan.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	for i := range g.plan.Faults {
		g.plan.Faults[i].Number = i
	}
	g.plan.Operations = operations
}

// families turns each family on or off. One seed in eight has none.
func (g *generator) families() {
	s := g.seed.Split("families")
	f := &g.plan.Families
	f.Membership = g.plan.Workload.Moves()
	if s.Chance(1, 8) {
		return
	}
	f.Process, f.Network = s.Chance(2, 3), s.Chance(2, 3)
	f.Disk, f.Membership = s.Chance(1, 2), s.Chance(1, 2) || f.Membership
	f.Clock = g.seed.Split("clock family").Chance(1, 2)
	f.Load = g.seed.Split("load family").Chance(1, 2)
	g.plan.Blackout = f.Process && s.Chance(1, 2)
}

// config draws what the world is like. Everything is small, so that files roll and
// are used again within a run.
func (g *generator) config() {
	s := g.seed.Split("config")
	if s.Chance(1, 4) {
		g.plan.Nodes = 5
	}
	c := Config{
		SegmentBytes:     uint64(s.Between(1, 4) * 16 * kibi),
		JournalFileBytes: s.Between(2, 4) * 128 * kibi,
		JournalFiles:     4,
		CheckpointBytes:  int(s.Between(1, 4) * 24 * kibi),
		CopyBytes:        int(s.Between(1, 16) * kibi),
		TickMillis:       50,
		LateIn:           s.Below(5),
		LateMicros:       s.Between(50, 2000),
		DiskFactor:       s.Between(1, 4),
		Network: netsim.Profile{
			Latency: netsim.Time(s.Between(50, 500)) * microsecond,
			Jitter:  netsim.Time(s.Between(20, 1000)) * microsecond,
		},
	}
	if g.plan.Families.Network {
		c.Network.Tail, c.Network.TailLimit = s.Below(5000), netsim.Time(s.Between(5, 50))*millisecond
		c.Network.Loss, c.Network.Duplicate = s.Below(5000), s.Below(5000)
		c.Network.Reorder, c.Network.ReorderLimit = s.Below(10_000), netsim.Time(s.Between(1, 40))*millisecond
		c.Network.Damage = s.Below(500)
		c.Network.Break, c.Network.HalfOpen = s.Below(500), s.Below(300_000)
		c.Network.HalfOpenLimit = netsim.Time(s.Between(100, 2000)) * millisecond
	}
	c.Mixed = g.seed.Split("mixed").Chance(1, 2)
	g.plan.Config = c
}

// some adds between low and high faults of a kind, if the kind is on in this seed.
func (g *generator) some(kind Kind, low, high int64, each func(*prng.Stream, *Fault)) {
	s := g.seed.Split(string(kind))
	if s.Chance(3, 5) {
		g.add(s, kind, s.Between(low, high), each)
	}
}

// quiet is how long nothing goes wrong at the begin and at the end of the safety
// phase.
const quiet Milliseconds = 1_000

func (g *generator) add(s *prng.Stream, kind Kind, count int64, each func(*prng.Stream, *Fault)) {
	for range count {
		f := Fault{Kind: kind, At: Milliseconds(s.Between(int64(quiet), int64(g.plan.Safety-2*quiet)))}
		each(s, &f)
		f.Length = min(f.Length, g.plan.Safety-f.At)
		g.plan.Faults = append(g.plan.Faults, f)
	}
}

// target aims at a node, at the leader of a partition or of the meta group, or at
// a follower.
func (g *generator) target(s *prng.Stream) Target {
	t := g.partition(s)
	switch s.Below(6) {
	case 0:
		return Target{Node: int(s.Between(1, int64(g.plan.Nodes)))}
	case 1:
		return Target{Role: MetaLeader}
	case 2:
		t.Role, t.Nth = Follower, int(s.Below(2))
	default:
		t.Role = Leader
	}
	return t
}

func (g *generator) partition(s *prng.Stream) Target {
	w := &g.plan.Workload
	return Target{Topic: w.Topic, Partition: int32(s.Below(int64(w.Partitions)))}
}

func between(s *prng.Stream, low, high int64) Milliseconds { return Milliseconds(s.Between(low, high)) }

// client aims at a client.
func (g *generator) client(s *prng.Stream) int {
	return int(s.Below(int64(g.plan.Workload.Clients + g.plan.Workload.Members)))
}

// crash draws how hard a power failure hits.
func crash(s *prng.Stream, f *Fault) {
	f.Tear = 50
	switch s.Below(4) {
	case 0:
		f.Lose = 100
	case 1:
		f.Mix = 100
	case 2:
		f.Lose, f.Mix = 33, 34
	default:
		f.Lose = s.Below(101)
		f.Mix = s.Below(101 - f.Lose)
	}
	f.Length = between(s, 50, 5_000)
}

func (g *generator) process() {
	if !g.plan.Families.Process {
		return
	}
	// These are what a run needs to prove something: leaders that lose power in
	// the middle of their work, and with it what they had not synced.
	s := g.seed.Split("leaders")
	g.add(s, Crash, s.Between(5, 8), func(s *prng.Stream, f *Fault) {
		crash(s, f)
		f.Target, f.Moment, f.Delay = g.partition(s), Proposing, s.Below(400)
		f.Target.Role = Leader
		f.Lose, f.Mix = max(f.Lose, 60), min(f.Mix, 40)
		f.Length = max(f.Length, 1_500)
	})
	// A leader that slept does not know that there is another.
	s = g.seed.Split("sleeping leaders")
	g.add(s, Pause, s.Between(1, 3), func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.partition(s), between(s, 900, 2_600)
		f.Target.Role = Leader
	})
	g.some(Crash, 1, 6, func(s *prng.Stream, f *Fault) {
		crash(s, f)
		f.Target = g.target(s)
		if s.Chance(1, 2) {
			f.Moment, f.Delay = Syncing, s.Below(1000)
		}
	})
	g.some(CrashAll, 1, 3, crash)
	g.some(Kill, 1, 4, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 10, 3_000)
		if s.Chance(1, 2) {
			f.Moment, f.Delay = Syncing, s.Below(1000)
		}
	})
	g.some(Pause, 1, 4, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 100, 6_000)
	})
	g.some(SlowNode, 1, 2, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = g.target(s), between(s, 500, 8_000), s.Between(1, 30)
	})
	g.some(Shutdown, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 1_000, 5_000)
	})
	g.some(CrashLoop, 1, 2, func(s *prng.Stream, f *Fault) {
		crash(s, f)
		f.Target, f.Length, f.Strength = g.target(s), between(s, 1_500, 6_000), s.Between(2, 4)
	})
	g.some(RollingRestart, 1, 1, func(s *prng.Stream, f *Fault) {
		f.Length = between(s, 6_000, 12_000)
	})
	g.some(CrashClient, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Client, f.Length = g.client(s), between(s, 10, 2_000)
	})
	g.some(PauseClient, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Client, f.Length = g.client(s), between(s, 500, 12_000)
	})
}

func (g *generator) disk() {
	if !g.plan.Families.Disk {
		return
	}
	g.some(SlowDisk, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = g.target(s), between(s, 500, 10_000), s.Between(3, 60)
	})
	g.some(StallDisk, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 200, 7_000)
	})
	g.some(FullDisk, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 1_000, 10_000)
		// None for what is under way, none for more, or some for a while.
		f.Strength = s.Below([]int64{4, ReserveBytes / kibi, 2 * ReserveBytes / kibi}[s.Below(3)])
	})
	g.rot()
}

// rotten is the node that may have damage, from 0.
func (g *generator) rotten() int64 { return g.seed.Split("rot").Below(int64(g.plan.Nodes)) }

// rot damages segments of one node, so that of the three replicas of a partition two are
// whole. What a majority has lost nobody can bring back.
func (g *generator) rot() {
	victim := Target{Node: int(g.rotten()) + 1}
	for _, kind := range []Kind{BitFlip, BadSector} {
		g.some(kind, 1, 4, func(s *prng.Stream, f *Fault) {
			f.Target, f.Strength = victim, s.Between(1, 3)
		})
	}
	g.some(Misdirect, 1, 3, func(_ *prng.Stream, f *Fault) { f.Target = victim })
	g.some(LostSegment, 1, 2, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = victim, between(s, 10, 5_000), s.Between(1, 3)
	})
	g.some(StaleRead, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Strength = g.target(s), s.Between(1, 5)
		if g.plan.Families.Process && s.Chance(1, 2) { // What a node reads as it starts.
			f.Target, f.Strength = Target{Node: int(s.Between(1, int64(g.plan.Nodes)))}, s.Between(1, 2)
			g.then(Fault{Kind: Kill, At: f.At + 1, Length: between(s, 10, 1_000), Target: f.Target})
		}
	})
	// A cluster has one node to lose.
	s := g.seed.Split("lost node")
	g.add(s, []Kind{LostDisk, JournalRot, LostJournal}[s.Below(3)], 1, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = victim, between(s, 0, 5_000)
		if f.Kind == LostJournal {
			f.Strength = s.Between(1, 2)
		}
		// Once it is out of the cluster, it may be started all the same.
		g.then(Fault{Kind: OldImage, At: min(f.At+f.Length+between(s, 4_000, 20_000), g.plan.Safety-quiet)})
	})
	for _, kind := range []Kind{FailWrite, FailSync} {
		g.some(kind, 1, 2, func(s *prng.Stream, f *Fault) {
			f.Target, f.Length = g.target(s), between(s, 500, 4_000)
		})
	}
}

func (g *generator) network() {
	if !g.plan.Families.Network {
		return
	}
	cut := func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 200, 6_000)
		f.Inward, f.Strength = s.Chance(1, 2), s.Between(2, 12)
	}
	s := g.seed.Split("isolated leaders")
	g.add(s, Isolate, s.Between(1, 3), func(s *prng.Stream, f *Fault) {
		cut(s, f)
		f.Target = g.partition(s)
		f.Target.Role = Leader
		f.Length = max(f.Length, 2_000)
	})
	for _, kind := range []Kind{CutOff, OneWay, CutPair, Flap, CutClients} {
		g.some(kind, 1, 3, cut)
	}
	g.some(Bridge, 1, 2, func(s *prng.Stream, f *Fault) {
		cut(s, f)
		f.OneWay = s.Chance(1, 3)
	})
	if s := g.seed.Split(string(Ring)); g.plan.Nodes > 3 { // three nodes are all neighbours
		g.add(s, Ring, s.Between(1, 3), func(s *prng.Stream, f *Fault) {
			cut(s, f)
			f.OneWay = s.Chance(1, 3)
		})
	}
	g.some(Weather, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Length, f.Target = between(s, 1_000, 10_000), Target{Node: 1}
		f.Worse = weather(s)
	})
}

// weather draws what is worse on all links for a while.
func weather(s *prng.Stream) netsim.Profile {
	p := netsim.Profile{ReorderLimit: netsim.Time(s.Between(1, 100)) * millisecond}
	for _, part := range []func(){
		func() { p.Loss = s.Between(10_000, 200_000) },
		func() { p.Duplicate = s.Between(10_000, 300_000) },
		func() { p.Reorder = s.Between(10_000, 300_000) },
		func() { p.Latency = netsim.Time(s.Between(1, 60)) * millisecond },
		func() { p.Jitter = netsim.Time(s.Between(1, 60)) * millisecond },
		func() { p.BytesPerSecond = s.Between(200_000, 3_000_000) },
		func() { p.Damage = s.Between(1_000, 50_000) },
		func() { p.Break = s.Between(1_000, 30_000) },
	} {
		if s.Chance(1, 3) {
			part()
		}
	}
	return p
}

func (g *generator) membership() {
	if !g.plan.Families.Membership {
		return
	}
	joined := g.seed.Split("first join")
	early := joined.Chance(3, 4)
	if early {
		g.add(joined, Join, 1, func(s *prng.Stream, f *Fault) { f.At = between(s, 1_000, 10_000) })
	}
	if early || g.plan.Nodes > 3 {
		s := g.seed.Split("moves")
		g.add(s, Move, s.Between(1, 4), func(s *prng.Stream, f *Fault) {
			f.Target, f.At = g.partition(s), between(s, 5_000, 50_000)
		})
	}
	if s := g.seed.Split("leave"); early && s.Chance(1, 2) {
		g.add(s, Leave, 1, func(s *prng.Stream, f *Fault) {
			f.Target, f.At = Target{Node: int(s.Between(1, int64(g.plan.Nodes)+1))}, between(s, 12_000, 50_000)
		})
	}
	g.some(Elect, 1, 5, func(s *prng.Stream, f *Fault) { f.Target, f.Strength = g.partition(s), s.Below(4)/3 })
	g.some(Permit, 1, 4, func(s *prng.Stream, f *Fault) { f.Strength = s.Below(3) })
}

func (g *generator) clock() {
	if !g.plan.Families.Clock {
		return
	}
	g.some(Drift, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = g.target(s), between(s, 2_000, 20_000), s.Between(900, 1_100)
	})
	g.some(Freeze, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length = g.target(s), between(s, 100, 4_000)
	})
	g.some(WallJump, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = g.target(s), between(s, 500, 10_000), s.Between(1, hour*[]int64{2, 48}[s.Below(2)])
		f.Inward = s.Chance(1, 2)
	})
	g.some(ClientClock, 1, 2, func(s *prng.Stream, f *Fault) {
		f.Client, f.Length, f.Strength = g.client(s), between(s, 2_000, 20_000), s.Between(800, 1_200)
	})
}

func (g *generator) load() {
	if !g.plan.Families.Load {
		return
	}
	g.some(Malformed, 1, 4, func(s *prng.Stream, f *Fault) {
		f.Target, f.Strength = g.target(s), s.Between(10, 80)
	})
	g.some(RogueProducer, 1, 3, func(s *prng.Stream, f *Fault) {
		f.Target, f.Length, f.Strength = g.partition(s), between(s, 5_000, 40_000), s.Between(20, 80)
		if g.plan.Families.Clock && s.Chance(1, 2) {
			// A day passes on the clock of the leader that it writes to.
			leader := f.Target
			leader.Role = Leader
			g.then(Fault{
				Kind: WallJump, At: min(f.At+f.Length/2, g.plan.Safety-quiet), Length: between(s, 500, 5_000), Target: leader,
				Strength: s.Between(25*hour, 48*hour),
			})
		}
	})
}
