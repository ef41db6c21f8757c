package meta

import "github.com/reprise-mq/reprise/broker/api"

// minUneven is by how many a node must be preferred as the leader of more partitions than
// another before one of them changes hands. One more is not uneven: it would go back and
// forth.
const minUneven = 2

// CanSpread reports whether Uneven would name a partition, were all nodes suitable.
func (s *State) CanSpread() bool {
	p, _ := s.Uneven(func(*Node) bool { return true })
	return p != nil
}

// Uneven names a partition, and the node of a replica of it that had better be the
// preferred leader, so that nodes lead more equally many; nil if they do as it is, to
// within one between any two nodes that have a partition in common. Nodes that are not
// suitable get nothing; partitions whose replicas are changing, or whose leader somebody
// elected, are left alone. Of several it is the partition between the nodes that differ
// most; of those, the one that was made first.
func (s *State) Uneven(suitable func(*Node) bool) (uneven *Partition, to api.NodeID) {
	most := minUneven - 1
	leaders := make(map[api.NodeID]int)
	able := make(map[api.NodeID]bool)
	for _, l := range s.loads(nil) {
		leaders[l.node], able[l.node] = l.leaders, suitable(s.Node(l.node))
	}
	for _, t := range s.topics {
		for _, p := range t.Partitions {
			if p.Changing() || p.Replicas[0].Elected {
				continue
			}
			for _, r := range p.Replicas[1:] {
				if more := leaders[p.Replicas[0].Node] - leaders[r.Node]; more > most && able[r.Node] {
					uneven, to, most = p, r.Node, more
				}
			}
		}
	}
	return uneven, to
}
