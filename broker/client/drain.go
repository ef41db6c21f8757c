package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// Drain says how a node gives its replicas to others.
type Drain struct {
	// To are the nodes that may get replicas (all that answer, but the one that is drained).
	To []uint64
	// Parallel is how many replicas move at the same time (2): each copies its whole log.
	Parallel int
	// Progress hears how many replicas the node still has, whenever that changes (nobody).
	Progress func(left int)
}

// Move is a replica's way from one node to another.
type Move = core.Move

// drainPause is between two looks at replicas that move.
const drainPause = 50 * time.Millisecond

// PlanDrain says where a node's replicas would go: each to a node that has none of the
// partition, and by then the fewest replicas in all. Those of partitions that are being
// changed wait until that is over, but for a replica that is only on its way to the node. An error names the partitions that no node is left for.
func (c *Client) PlanDrain(ctx context.Context, node uint64, d Drain) ([]Move, error) {
	m, err := c.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	return c.planDrain(ctx, m, node, d)
}

// answerTime is how long a node may take to say that it is there.
const answerTime = 2 * time.Second

// planDrain plans for the nodes that answer, if none are named: the dead have the fewest
// replicas as a rule, and a move to one that is dead does not end.
func (c *Client) planDrain(ctx context.Context, m *api.MetadataResponse, node uint64, d Drain) ([]Move, error) {
	moves, err := core.PlanDrain(m, node, d.To)
	if err != nil || len(moves) == 0 || len(d.To) > 0 {
		return moves, err
	}
	var there, silent []uint64
	for _, n := range m.GetNodes() {
		switch {
		case n.GetId() == node:
		case c.answers(ctx, n.GetAddress()):
			there = append(there, n.GetId())
		default:
			silent = append(silent, n.GetId())
		}
	}
	if len(there) == 0 {
		return nil, fmt.Errorf("drain node %d: no other node answers; see cluster status", node)
	}
	moves, err = core.PlanDrain(m, node, there)
	if err != nil && len(silent) > 0 {
		err = fmt.Errorf("%w (nodes %v do not answer, and get nothing unless they are named)", err, silent)
	}
	return moves, err
}

// answers reports whether a node says anything.
func (c *Client) answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	_, err := c.DescribeNode(ctx, address)
	return err == nil || errors.Is(err, ErrClusterAuthorization)
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
		moves, err := core.PlanDrain(m, node, d.To)
		if err != nil {
			return err
		}
		left := core.Held(m, node)
		if left != before && d.Progress != nil {
			d.Progress(left)
		}
		if before = left; left == 0 {
			return nil
		}
		onTheirWay := left - len(moves)
		begin := min(len(moves), max(cmp.Or(d.Parallel, 2)-onTheirWay, 0))
		if begin > 0 {
			if moves, err = c.planDrain(ctx, m, node, d); err != nil {
				return err
			}
		}
		for _, move := range moves[:begin] {
			if err := c.MoveReplica(ctx, move.Topic, move.Partition, move.From, move.To); err != nil {
				return err
			}
		}
		select {
		case <-time.After(drainPause):
		case <-ctx.Done():
			return fmt.Errorf("drain node %d: %d replicas are left, %d of them on their way%s: %w", node, left, onTheirWay, core.Moving(m, node), ctx.Err())
		}
	}
}
