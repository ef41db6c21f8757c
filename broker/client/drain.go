package client

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/reprise-mq/reprise/broker/client/core"
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
	return core.PlanDrain(m, node, d.To)
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
		for _, move := range moves[:min(len(moves), max(cmp.Or(d.Parallel, 2)-onTheirWay, 0))] {
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
