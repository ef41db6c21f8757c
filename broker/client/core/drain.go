package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
)

// Move is a replica's way from one node to another.
type Move struct {
	Topic     string
	Partition int32
	From, To  uint64
}

// PlanDrain says where a node's replicas would go, as the cluster is: each to one of the
// nodes in to (any, if none is named) that has none of the partition, and by then the
// fewest replicas in all. Those of partitions that are being changed wait until that is
// over, but for a replica that is only on its way to the node. An error names the partitions that no node is left for.
func PlanDrain(m *api.MetadataResponse, node uint64, to []uint64) ([]Move, error) {
	load := map[uint64]int{}
	for _, n := range m.GetNodes() {
		load[n.GetId()] = 0
	}
	if _, member := load[node]; !member {
		return nil, fmt.Errorf("drain node %d: the cluster has no such node", node)
	}
	for _, id := range to {
		if _, member := load[id]; !member || id == node {
			return nil, fmt.Errorf("drain node %d to node %d: it is no other node of the cluster", node, id)
		}
	}
	for _, t := range m.GetTopics() {
		for _, p := range t.GetPartitions() {
			for _, r := range p.GetReplicas() {
				load[r.GetNode()]++
			}
		}
	}
	var moves []Move
	var stuck []string
	for _, t := range m.GetTopics() {
		for _, p := range t.GetPartitions() {
			if !movable(p, node) {
				continue
			}
			heir, found := heirOf(m, p, node, to, load)
			if !found {
				stuck = append(stuck, fmt.Sprintf("%s/%d", t.GetName(), p.GetPartition()))
				continue
			}
			load[heir]++
			moves = append(moves, Move{t.GetName(), p.GetPartition(), node, heir})
		}
	}
	if len(stuck) > 0 {
		return nil, fmt.Errorf("drain node %d: no node is left without a replica of %s; let another node join first", node, strings.Join(stuck, ", "))
	}
	return moves, nil
}

// heirOf is the node with the fewest replicas that can get one of a partition.
func heirOf(m *api.MetadataResponse, p *api.PartitionInfo, node uint64, to []uint64, load map[uint64]int) (heir uint64, found bool) {
	for _, n := range m.GetNodes() {
		id := n.GetId()
		switch {
		case id == node, n.GetRemoving(), len(to) > 0 && !slices.Contains(to, id):
		case replicaOn(p, id) != nil:
		case !found || load[id] < load[heir]:
			heir, found = id, true
		}
	}
	return heir, found
}

// Held counts the replicas of a node, also those on their way out.
func Held(m *api.MetadataResponse, node uint64) (n int) {
	for _, t := range m.GetTopics() {
		for _, p := range t.GetPartitions() {
			if replicaOn(p, node) != nil {
				n++
			}
		}
	}
	return n
}

func replicaOn(p *api.PartitionInfo, node uint64) *api.ReplicaInfo {
	i := slices.IndexFunc(p.GetReplicas(), func(r *api.ReplicaInfo) bool { return r.GetNode() == node })
	if i < 0 {
		return nil
	}
	return p.GetReplicas()[i]
}

// Moving names the replicas that a node has begun to give up, and where they are to go:
// " (t/0 to node 4)"; "" if there are none.
func Moving(m *api.MetadataResponse, node uint64) string {
	var list []string
	for _, t := range m.GetTopics() {
		for _, p := range t.GetPartitions() {
			if own := replicaOn(p, node); own == nil || !own.GetRemoving() {
				continue
			}
			way := fmt.Sprintf("%s/%d", t.GetName(), p.GetPartition())
			for _, r := range p.GetReplicas() {
				if r.GetAdding() && !r.GetRemoving() {
					way += fmt.Sprintf(" to node %d", r.GetNode())
				}
			}
			list = append(list, way)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// movable reports whether a node's replica can be given to another node now: not while
// replicas of the partition are changing, unless this one is only on its way in. It may
// never get there, where the node is dead.
func movable(p *api.PartitionInfo, node uint64) bool {
	own := replicaOn(p, node)
	return own != nil && !own.GetRemoving() && (own.GetAdding() || !changing(p))
}

func changing(p *api.PartitionInfo) bool {
	return slices.ContainsFunc(p.GetReplicas(), func(r *api.ReplicaInfo) bool { return r.GetAdding() || r.GetRemoving() })
}
