package workloads

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// Config sizes the standard workload. Its fields must be above 0.
type Config struct {
	// Clients that act at the same time. The first is a producer that has Window
	// operations under way at once; so has the second, which mostly reads; the last also makes
	// and deletes topics of its own; all others do a bit of everything.
	Clients int `json:"clients"`
	// Ops of each client.
	Ops int `json:"ops"`
	// Length is the time in which they begin.
	Length histories.Time `json:"length"`
	// Topic that is shared by all; it is there, with so many Partitions.
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// Added is how many partitions the topic may get in the run beside those.
	Added int `json:"added,omitempty"`
	// Kind is "" for the workload of a log, or one of Kinds.
	Kind string `json:"kind,omitempty"`
	// RetentionTime, in milliseconds, and RetentionBytes are what the topic is made
	// with; 0 for no limit.
	RetentionTime  int64 `json:"retention_ms,omitempty"`
	RetentionBytes int64 `json:"retention_bytes,omitempty"`
	// Members of a consumer group, beside the clients.
	Members int `json:"members,omitempty"`
}

// Standard is the workload of the standard plan: 60 s of 5 clients on 4
// partitions.
var Standard = Config{Clients: 5, Ops: 600, Length: 60_000_000_000, Topic: "log", Partitions: 4}

// Window is how many operations a client has under way at once: many where it
// mostly produces, or mostly reads.
func (c Config) Window(client int) int {
	if client < 2 {
		return 8
	}
	return 1
}

// Generate makes the operations of a run in the order of their time, then client
// and number. Each is drawn from the seed, its client and its number alone.
func Generate(seed uint64, c Config) []Op {
	if c.Clients < 1 || c.Ops < 1 || c.Length < 1 || c.Partitions < 1 || c.Topic == "" {
		panic(fmt.Sprintf("workloads: nothing to do in %+v", c))
	}
	g := generator{config: c, seed: prng.Hash(seed, prng.HashString("workload"))}
	ops := make([]Op, 0, c.Clients*c.Ops)
	for client := range c.Clients {
		for n := range c.Ops {
			ops = append(ops, g.op(client, n))
		}
	}
	slices.SortFunc(ops, func(a, b Op) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Number, b.Number))
	})
	return ops
}

type generator struct {
	config Config
	seed   uint64
}

// Purposes of draws.
const (
	drawAction uint64 = iota
	drawPartition
	drawHot
	drawBurst
	drawTime
	drawCount
	drawSize
	drawPart
	drawWait
	drawEpisode
	drawSeek
	drawStamp
	drawFar
)

// draw gives a number from 0 to n-1 that belongs to an operation and a purpose.
func (g *generator) draw(o *Op, purpose uint64, n int64) int64 {
	return prng.Scale(prng.Hash(g.seed, uint64(o.Client), uint64(o.Number), purpose), n)
}

// weighted is an action with its weight among others.
type weighted struct {
	action Action
	weight int64
}

// The roles of clients.
var (
	producing = []weighted{{Produce, 90}, {ProduceNone, 4}, {Latest, 4}, {Init, 2}}
	reading   = []weighted{{Poll, 70}, {Reread, 10}, {Tail, 8}, {Beyond, 2}, {Latest, 5}, {Earliest, 5}}
	mixing    = []weighted{
		{Produce, 36}, {ProducePlain, 8}, {ProduceNone, 4}, {Poll, 25}, {Reread, 6}, {Tail, 8},
		{Beyond, 2}, {Latest, 5}, {Earliest, 3}, {Trim, 1}, {Init, 1}, {Renew, 1},
	}
	// private is what a client does to a topic of its own between its making and
	// its end.
	private = []weighted{{Produce, 50}, {ProducePlain, 10}, {Poll, 20}, {Tail, 8}, {Latest, 6}, {Trim, 5}, {TrimAll, 1}}
)

func (g *generator) op(client, n int) Op {
	o := Op{Client: client, Number: n}
	o.At = g.at(&o)
	o.Topic, o.Partition = g.config.Topic, g.partition(&o)
	switch {
	case client == 0:
		o.Action = g.pick(&o, producing)
	case client == 1:
		o.Action = g.pick(&o, reading)
	case client == g.config.Clients-1 && g.alone(&o):
		g.onOwn(&o)
	default:
		o.Action = g.pick(&o, mixing)
	}
	if g.config.Retains() {
		g.stamp(&o)
	}
	g.detail(&o)
	return o
}

// stamp gives records time stamps, about the time of the operation, or one time in
// sixteen far before or after, and has some operations look for one.
func (g *generator) stamp(o *Op) {
	const (
		epoch   = 1_750_000_000_000
		blurred = 3_000
		far     = 40_000_000_000
		// Time stamps are coarse, so that some are equal.
		coarse = 100
	)
	at := epoch + int64(o.At/1_000_000)
	switch o.Action {
	case Produce, ProducePlain, ProduceNone:
		o.Stamp = (at + g.draw(o, drawStamp, blurred) - blurred/2) / coarse * coarse
		if n := g.draw(o, drawFar, 32); n < 2 {
			o.Stamp += (2*n - 1) * far
		}
	case Reread, Latest, Earliest, Beyond:
		if g.draw(o, drawSeek, 2) == 0 {
			o.Action = AtTime
			o.Stamp = (at + blurred - g.draw(o, drawStamp, 12*blurred)) / coarse * coarse
			if g.draw(o, drawFar, 2) == 0 {
				o.Stamp += 2 * far // that there is none takes a quorum
			}
		}
	}
}

// at spreads a client's operations evenly, shaken by a step; in a burst a block of
// them is due at once.
func (g *generator) at(o *Op) histories.Time {
	const block = 16
	step := g.config.Length / histories.Time(g.config.Ops)
	burst := *o
	burst.Number = o.Number / block * block
	if g.draw(&burst, drawBurst, 12) == 0 {
		return histories.Time(burst.Number) * step
	}
	return histories.Time(o.Number)*step + histories.Time(g.draw(o, drawTime, int64(step)+1))
}

// partition takes the hot one half of the time; else, some of those that may be added too.
func (g *generator) partition(o *Op) api.Partition {
	n := int64(g.config.Partitions)
	if g.draw(o, drawHot, 2) == 0 {
		return api.Partition(prng.Scale(prng.Hash(g.seed, drawHot), n))
	}
	return api.Partition(g.draw(o, drawPartition, n+int64(g.config.Added)))
}

func (g *generator) pick(o *Op, from []weighted) Action {
	var sum int64
	for _, w := range from {
		sum += w.weight
	}
	left := g.draw(o, drawAction, sum)
	for _, w := range from {
		if left -= w.weight; left < 0 {
			return w.action
		}
	}
	panic("workloads: weights do not add up")
}

// episode is how many operations in a row a client stays with a topic of its own.
const episode = 24

// alone reports whether an operation belongs to an episode on a topic of the
// client's own: one in two.
func (g *generator) alone(o *Op) bool {
	first := *o
	first.Number = o.Number / episode * episode
	return g.draw(&first, drawEpisode, 2) == 0
}

// onOwn is an operation of such an episode, which begins by making the topic and
// ends by deleting it. There are few names, so that topics of one name follow one
// another.
func (g *generator) onOwn(o *Op) {
	const names = 2
	o.Own = true
	o.Topic = fmt.Sprintf("own-%d-%d", o.Client, o.Number/episode%names)
	o.Partition = api.Partition(g.draw(o, drawPartition, ownPartitions))
	switch o.Number % episode {
	case 0:
		o.Action = Create
	case episode - 1:
		o.Action = Delete
	default:
		o.Action = g.pick(o, private)
	}
}

const ownPartitions = 2

// detail fills in what the action needs beside its place.
func (g *generator) detail(o *Op) {
	switch o.Action {
	case Produce, ProducePlain, ProduceNone:
		o.Count = 1
		if g.draw(o, drawCount, 2) == 0 {
			o.Count = int(1 + g.draw(o, drawPart, 8))
		}
		o.Size = g.size(o)
	case Poll, Tail:
		if g.draw(o, drawWait, 4) == 0 {
			o.Wait = int32(g.draw(o, drawCount, 500))
		}
	case Reread:
		o.Part = g.draw(o, drawPart, 1000)
	case Trim:
		o.Part = g.draw(o, drawPart, 300)
	case Beyond:
		o.Count = int(1 + g.draw(o, drawCount, 1000))
	case Create:
		o.Count = ownPartitions
	}
	if o.Action == Create || o.Action == Delete {
		o.Partition = 0
	}
	if o.Action == Init || o.Action == Renew {
		o.Topic, o.Partition = "", 0
	}
}

// size is small mostly, and a few KiB now and then.
func (g *generator) size(o *Op) int {
	most := int64(200)
	if g.draw(o, drawSize, 20) == 0 {
		most = 4000
	}
	return histories.MinPayload + int(g.draw(o, drawWait, most))
}
