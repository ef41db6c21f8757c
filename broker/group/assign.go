package group

import (
	"cmp"
	"container/heap"
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
	id    MemberID
	wants []bool // of each topic whether it does
	owned map[Partition]bool
	given []Partition
	load  int // of what it is to have, while partitions are spread
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

// wanting are the members that want the topic at a place, by their own.
func wanting(members []*candidate, topic int) []int {
	var all []int
	for i, c := range members {
		if c.wants[topic] {
			all = append(all, i)
		}
	}
	return all
}

func assignRange(members []*candidate, topics []Topic) {
	for i, t := range topics {
		all := wanting(members, i)
		next := int32(0)
		for rank, at := range all {
			share := t.Partitions / int32(len(all))
			if int32(rank) < t.Partitions%int32(len(all)) {
				share++
			}
			for range share {
				members[at].given = append(members[at].given, Partition{t.ID, api.Partition(next)})
				next++
			}
		}
	}
}

func assignRoundRobin(members []*candidate, topics []Topic) {
	turn := 0 // who is next, if it wants the topic
	for i, t := range topics {
		all := wanting(members, i)
		if len(all) == 0 {
			continue
		}
		rank, _ := slices.BinarySearch(all, turn)
		for n := range t.Partitions {
			at := all[rank%len(all)]
			members[at].given = append(members[at].given, Partition{t.ID, api.Partition(n)})
			rank, turn = rank+1, at+1
		}
	}
}

// assignSticky lets every owner keep what it has, gives the rest to whoever has least, and
// then evens out, one partition at a time, from whoever has most of those that want the same
// to who has least of them, by two at least. Each such step makes the sum of the squares of
// what members have smaller, so it comes to an end. What came to a member last leaves it
// first, so that it keeps what it owns rather than what it would be given.
func assignSticky(members []*candidate, topics []Topic) {
	owners := ownersOf(members, topics)
	classes := classesOf(members, topics)
	for _, k := range classes {
		k.keep(owners)
	}
	for _, k := range classes {
		k.deal(owners)
	}
	for again := true; again; {
		again = false
		for _, k := range classes {
			again = k.evenOut() || again
		}
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

// ownersOf gives, by topic and number, who owns each partition and still wants its topic.
func ownersOf(members []*candidate, topics []Topic) [][]*candidate {
	at := make(map[api.TopicID]int)
	owners := make([][]*candidate, len(topics))
	for i, t := range topics {
		at[t.ID], owners[i] = i, make([]*candidate, t.Partitions)
	}
	for _, c := range members {
		//detvet:allow maporder a partition has one owner
		for p := range c.owned {
			if i, known := at[p.Topic]; known && c.wants[i] && int(p.Number) < len(owners[i]) {
				owners[i][p.Number] = c
			}
		}
	}
	return owners
}

// class is the topics that the same members want, and who holds what of them. Mostly all
// members want the same, and there is one.
type class struct {
	among  []*candidate
	topics []int // by their places, ascending
	ids    []api.TopicID
	held   map[MemberID][]Partition
}

func classesOf(members []*candidate, topics []Topic) []*class {
	var classes []*class
	known := make(map[string]*class) // by which members want its topics
	for i, t := range topics {
		all, key := wanting(members, i), make([]byte, len(members))
		if len(all) == 0 {
			continue
		}
		for _, at := range all {
			key[at] = 1
		}
		k := known[string(key)]
		if k == nil {
			k = &class{held: make(map[MemberID][]Partition)}
			for _, at := range all {
				k.among = append(k.among, members[at])
			}
			known[string(key)], classes = k, append(classes, k)
		}
		k.topics, k.ids = append(k.topics, i), append(k.ids, t.ID)
	}
	return classes
}

// each visits the partitions of a class, with who owns each, ascending.
func (k *class) each(owners [][]*candidate, do func(Partition, *candidate)) {
	for i, topic := range k.topics {
		for n, owner := range owners[topic] {
			do(Partition{k.ids[i], api.Partition(n)}, owner)
		}
	}
}

// keep gives to owners what they own.
func (k *class) keep(owners [][]*candidate) {
	k.each(owners, func(p Partition, owner *candidate) {
		if owner != nil {
			k.give(p, owner)
		}
	})
}

// deal gives what nobody owns to whoever has least.
func (k *class) deal(owners [][]*candidate) {
	least := rank(k.among, leastFirst)
	k.each(owners, func(p Partition, owner *candidate) {
		if owner == nil {
			k.give(p, least.list[0])
			heap.Fix(least, 0)
		}
	})
}

func (k *class) give(p Partition, to *candidate) {
	k.held[to.id] = append(k.held[to.id], p)
	to.load++
}

// evenOut moves partitions of the class until nobody holds one and has two more than
// another, and reports whether it has moved any. Who has given one has, from then on, at
// most one less than whoever has most, so it is never to take one; nor is it the other way
// round. So the place of each in the ranking that it is not taken from need not be right.
func (k *class) evenOut() bool {
	moved := false
	holders := slices.DeleteFunc(slices.Clone(k.among), func(c *candidate) bool { return len(k.held[c.id]) == 0 })
	most, least := rank(holders, mostFirst), rank(k.among, leastFirst)
	for len(most.list) > 0 && most.list[0].load >= least.list[0].load+2 {
		from, to := most.list[0], least.list[0]
		held := k.held[from.id]
		last := len(held) - 1
		k.held[from.id] = held[:last]
		from.load--
		k.give(held[last], to)
		heap.Fix(least, 0)
		if last == 0 {
			heap.Pop(most)
		} else {
			heap.Fix(most, 0)
		}
		moved = true
	}
	return moved
}

// ranking is a heap of candidates, by load and id.
type ranking struct {
	list  []*candidate
	order func(a, b *candidate) int
}

func rank(among []*candidate, order func(a, b *candidate) int) *ranking {
	r := &ranking{slices.Clone(among), order}
	heap.Init(r)
	return r
}

func leastFirst(a, b *candidate) int {
	return cmp.Or(cmp.Compare(a.load, b.load), cmp.Compare(a.id, b.id))
}
func mostFirst(a, b *candidate) int {
	return cmp.Or(cmp.Compare(b.load, a.load), cmp.Compare(a.id, b.id))
}

// Len is heap.Interface.
func (r *ranking) Len() int { return len(r.list) }

// Less is heap.Interface.
func (r *ranking) Less(i, j int) bool { return r.order(r.list[i], r.list[j]) < 0 }

// Swap is heap.Interface.
func (r *ranking) Swap(i, j int) { r.list[i], r.list[j] = r.list[j], r.list[i] }

// Push is heap.Interface.
func (r *ranking) Push(c any) { r.list = append(r.list, c.(*candidate)) }

// Pop is heap.Interface.
func (r *ranking) Pop() any {
	last := r.list[len(r.list)-1]
	r.list = r.list[:len(r.list)-1]
	return last
}
