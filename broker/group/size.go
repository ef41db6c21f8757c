package group

import "github.com/reprise-mq/reprise/broker/api"

// MaxBytes bounds what a coordinator keeps in memory, as estimated by what follows: what
// would make it more is refused. A saved state takes less.
const MaxBytes = 64 << 20

// Bytes that things take in memory beside the texts in them.
const (
	groupBytes     = 512
	memberBytes    = 512
	topicBytes     = 64
	partitionBytes = 64 // of a target, and again of an owner
	offsetBytes    = 96
)

// Bytes is about how much memory the state takes.
func (s *State) Bytes() int { return s.bytes }

func (o *Offset) size() int { return offsetBytes + len(o.Metadata) }

func (j *Join) size() int { return textsSize(j.Token, j.Instance, j.Topics) }

func textsSize(token, instance string, topics []string) int {
	n := memberBytes + len(token) + len(instance)
	for _, t := range topics {
		n += topicBytes + len(t)
	}
	return n
}

// size is that of all that a group has, but for its offsets.
func (g *group) size(name string) int {
	n := groupBytes + len(name) + topicBytes*len(g.topics) + partitionBytes*(len(g.owners)+len(g.targets))
	//detvet:allow maporder a sum does not depend on the order
	for _, m := range g.members {
		n += m.bytes
	}
	return n
}

// setOffset and forgetOffset keep the sum of the offsets' sizes.
func (g *group) setOffset(o Offset) {
	g.forgetOffset(o.Partition)
	g.offsets[o.Partition] = o
	g.committedBytes += o.size()
}

func (g *group) forgetOffset(p Partition) {
	if old, there := g.offsets[p]; there {
		g.committedBytes -= old.size()
		delete(g.offsets, p)
	}
}

// count brings the size of the state up to date with a group, of which only offsets have
// changed, or other things too.
func (s *State) count(name string, others bool) {
	g := s.groups[name]
	if g == nil {
		return
	}
	if others || g.counted == 0 {
		g.otherBytes = g.size(name)
	}
	s.bytes += g.otherBytes + g.committedBytes - g.counted
	g.counted = g.otherBytes + g.committedBytes
}

// drop forgets a group.
func (s *State) drop(name string) {
	s.bytes -= s.groups[name].counted
	delete(s.groups, name)
}

// full refuses what would add so many bytes, if they are too many.
func (s *State) full(more int, out *Outcome) bool {
	if more <= 0 || s.bytes+more <= MaxBytes {
		return false
	}
	out.refuse(api.Code_GROUPS_FULL, "the coordinator keeps about %d bytes, which with %d more are above %d; delete groups, or reset offsets", s.bytes, more, MaxBytes)
	return true
}
