package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
)

// Drain says how a node gives its replicas to others.
type Drain struct {
	// To are the nodes that may get replicas (all but the one that is drained).
	To []uint64
	// Parallel is how many replicas move at the same time (2): each copies its whole log.
	Parallel int
	// Progress hears how many replicas the node still has, whenever that changes (nobody).
	Progress func(left int)
}

// Move is a replica's way from one node to another.
type Move struct {
	Topic     string
	Partition int32
	From, To  uint64
}

// drainPause is between two looks at replicas that move.
const drainPause = 50 * time.Millisecond

// PlanDrain says where a node's replicas would go: each to a node that has none of the
// partition, and by then the fewest replicas in all. Those of partitions that are being
// changed wait until that is over. An error names the partitions that no node is left for.
func (c *Client) PlanDrain(ctx context.Context, node uint64, d Drain) ([]Move, error) {
	m, err := c.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	return planDrain(m, node, d.To)
}

// Drain moves every replica of a node, which may be dead, to others. It returns when the
// node has none, or when ctx ends; what has begun goes on then, and another call goes on
// with the rest.
func (c *Client) Drain(ctx context.Context, node uint64, d Drain) error {
	for before := -1; ; {
		m, err := c.Metadata(ctx)
		if err != nil {
			return err
		}
		moves, err := planDrain(m, node, d.To)
		if err != nil {
			return err
		}
		left := held(m, node)
		if left != before && d.Progress != nil {
			d.Progress(left)
		}
		if before = left; left == 0 {
			return nil
		}
		onTheirWay := left - len(moves)
		for _, move := range moves[:min(len(moves), max(cmp.Or(d.Parallel, 2)-onTheirWay, 0))] {
			if err := c.MoveReplica(ctx, move.Topic, move.Partition, move.From, move.To); err != nil {
				return err
			}
		}
		select {
		case <-time.After(drainPause):
		case <-ctx.Done():
			return fmt.Errorf("drain node %d: %d replicas are left, %d of them on their way: %w", node, left, onTheirWay, ctx.Err())
		}
	}
}

// planDrain is PlanDrain on what the cluster is like.
func planDrain(m *api.MetadataResponse, node uint64, to []uint64) ([]Move, error) {
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
			if replicaOn(p, node) == nil || changing(p) {
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
		case id == node, len(to) > 0 && !slices.Contains(to, id):
		case replicaOn(p, id) != nil:
		case !found || load[id] < load[heir]:
			heir, found = id, true
		}
	}
	return heir, found
}

// held counts the replicas of a node, also those on their way out.
func held(m *api.MetadataResponse, node uint64) (n int) {
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

func changing(p *api.PartitionInfo) bool {
	return slices.ContainsFunc(p.GetReplicas(), func(r *api.ReplicaInfo) bool { return r.GetAdding() || r.GetRemoving() })
}
