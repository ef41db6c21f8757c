package group

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Assignor is a rule by which partitions are spread over members. The numbers stand in
// logs and never change.
type Assignor byte

// The assignors.
const (
	// Sticky leaves partitions where they are, as far as members stay within one of each
	// other where what they subscribe to allows it.
	Sticky Assignor = iota
	// Range gives each member a run of each topic's partitions, so that partitions of the
	// same number of several topics come together.
	Range
	// RoundRobin deals the partitions of all topics out one by one.
	RoundRobin
)

// assignors are all there are.
const assignors = 3

// candidate is a member as an assignor sees it.
type candidate struct {
	id     MemberID
	topics map[api.TopicID]bool
	owned  map[Partition]bool
	given  []Partition
	load   int // of what it is to have, while partitions are spread
}

// assign spreads the partitions of topics over members, which are ascending by id, and
// leaves in each what it is given. topics are ascending by id.
func assign(rule Assignor, members []*candidate, topics []Topic) {
	switch rule {
	case Range:
		assignRange(members, topics)
	case RoundRobin:
		assignRoundRobin(members, topics)
	default:
		assignSticky(members, topics)
	}
}

func wanting(members []*candidate, topic api.TopicID) []*candidate {
	return slices.DeleteFunc(slices.Clone(members), func(c *candidate) bool { return !c.topics[topic] })
}

func assignRange(members []*candidate, topics []Topic) {
	for _, t := range topics {
		all := wanting(members, t.ID)
		next := int32(0)
		for i, c := range all {
			share := t.Partitions / int32(len(all))
			if int32(i) < t.Partitions%int32(len(all)) {
				share++
			}
			for range share {
				c.given = append(c.given, Partition{t.ID, api.Partition(next)})
				next++
			}
		}
	}
}

func assignRoundRobin(members []*candidate, topics []Topic) {
	turn := 0
	for _, t := range topics {
		for n := range t.Partitions {
			for range members {
				c := members[turn%len(members)]
				turn++
				if c.topics[t.ID] {
					c.given = append(c.given, Partition{t.ID, api.Partition(n)})
					break
				}
			}
		}
	}
}

// assignSticky lets every owner keep what it has, gives the rest to whoever has least, and
// then evens out, one partition at a time, from whoever has most above another that could
// take it, by two at least. Each such step makes the sum of the squares of what members
// have smaller, so it comes to an end; and who gives is never below its share afterwards,
// so nobody gives what it will need again.
func assignSticky(members []*candidate, topics []Topic) {
	owners := make(map[Partition]*candidate)
	for _, c := range members {
		//detvet:allow maporder a partition has one owner
		for p := range c.owned {
			owners[p] = c
		}
	}
	classes := classesOf(members, topics)
	for _, k := range classes {
		k.each(func(p Partition) {
			if c := owners[p]; c != nil && c.topics[p.Topic] {
				k.give(p, c)
			}
		})
	}
	for _, k := range classes {
		k.each(func(p Partition) {
			if c := owners[p]; c == nil || !c.topics[p.Topic] {
				k.give(p, k.least())
			}
		})
	}
	for evenOut(classes) {
	}
	for _, k := range classes {
		for _, c := range k.among {
			c.given = append(c.given, k.held[c.id]...)
		}
	}
	for _, c := range members {
		slices.SortFunc(c.given, comparePartitions)
	}
}

// class is the topics that the same members want, and who holds what of them. Mostly all
// members want the same, and there is one.
type class struct {
	among  []*candidate
	topics []Topic
	held   map[MemberID][]Partition
}

func classesOf(members []*candidate, topics []Topic) []*class {
	var classes []*class
	for _, t := range topics {
		among := wanting(members, t.ID)
		if len(among) == 0 {
			continue
		}
		i := slices.IndexFunc(classes, func(k *class) bool { return slices.Equal(k.among, among) })
		if i < 0 {
			i = len(classes)
			classes = append(classes, &class{among: among, held: make(map[MemberID][]Partition)})
		}
		classes[i].topics = append(classes[i].topics, t)
	}
	return classes
}

func (k *class) each(do func(Partition)) {
	for _, t := range k.topics {
		for n := range t.Partitions {
			do(Partition{t.ID, api.Partition(n)})
		}
	}
}

func (k *class) give(p Partition, to *candidate) {
	k.held[to.id] = append(k.held[to.id], p)
	to.load++
}

// least is who has least, and most who has most of those that could give something.
func (k *class) least() *candidate {
	return slices.MinFunc(k.among, func(a, b *candidate) int { return cmp.Compare(a.load, b.load) })
}

func (k *class) most() *candidate {
	var most *candidate
	for _, c := range k.among {
		if (most == nil || c.load > most.load) && len(k.held[c.id]) > 0 {
			most = c
		}
	}
	return most
}

// evenOut takes one step, where it evens out most, and reports whether there was any.
func evenOut(classes []*class) bool {
	var at *class
	var from, to *candidate
	for _, k := range classes {
		most, least := k.most(), k.least()
		if most.load >= least.load+2 && (at == nil || most.load-least.load > from.load-to.load) {
			at, from, to = k, most, least
		}
	}
	if at == nil {
		return false
	}
	p := at.held[from.id][0]
	at.held[from.id] = at.held[from.id][1:]
	from.load--
	at.give(p, to)
	return true
}
