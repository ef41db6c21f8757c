package client

import (
	"context"
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
)

// Errors of consumer groups.
var (
	// ErrUnknownGroup: there is no such group; see ListGroups.
	ErrUnknownGroup error = &Error{Code: api.Code_UNKNOWN_GROUP}
	// ErrGroupNotEmpty: the group has members; stop them first.
	ErrGroupNotEmpty error = &Error{Code: api.Code_GROUP_NOT_EMPTY}
)

// ListGroups lists the consumer groups by name. It asks one coordinator after the other,
// so it is of no single moment.
func (c *Client) ListGroups(ctx context.Context) ([]*api.GroupSummary, error) {
	r, err := c.do(ctx, request{
		op:    "list the groups",
		start: func(timeout env.Time, done func(core.Result)) { c.core.ListGroups(timeout, done) },
	})
	return r.Response.GetListGroups().GetGroups(), err
}

// DescribeGroup says who is in a group, what each member owns, and what is committed.
func (c *Client) DescribeGroup(ctx context.Context, group string) (*api.DescribeGroupResponse, error) {
	r, err := c.do(ctx, request{
		op:    fmt.Sprintf("describe group %q", group),
		start: func(timeout env.Time, done func(core.Result)) { c.core.DescribeGroup(group, timeout, done) },
	})
	return r.Response.GetDescribeGroup(), err
}

// DeleteGroup deletes a group that has no members, with its offsets.
func (c *Client) DeleteGroup(ctx context.Context, group string) error {
	_, err := c.do(ctx, request{
		op:    fmt.Sprintf("delete group %q", group),
		start: func(timeout env.Time, done func(core.Result)) { c.core.DeleteGroup(group, timeout, done) },
	})
	return err
}

// ResetOffsets sets offsets of a group that has no members; an offset of -1 forgets the
// one that is committed. Partitions are named by their topic's id.
func (c *Client) ResetOffsets(ctx context.Context, group string, offsets []*api.GroupOffset) error {
	_, err := c.do(ctx, request{
		op:    fmt.Sprintf("reset offsets of group %q", group),
		start: func(timeout env.Time, done func(core.Result)) { c.core.ResetOffsets(group, offsets, timeout, done) },
	})
	return err
}

// FetchOffsets gives the offsets that a group has committed: in some partitions, where -1
// is none, or with none given wherever it has.
func (c *Client) FetchOffsets(ctx context.Context, group string, partitions ...*api.GroupPartition) ([]*api.GroupOffset, error) {
	r, err := c.do(ctx, request{
		op:    fmt.Sprintf("fetch offsets of group %q", group),
		start: func(timeout env.Time, done func(core.Result)) { c.core.FetchOffsets(group, partitions, timeout, done) },
		call:  fetchOffsetCall(group, partitions),
	})
	return r.Response.GetFetchOffsets().GetOffsets(), err
}

// fetchOffsetCall is what a history says of a FetchOffsets: it has a word for one partition.
func fetchOffsetCall(group string, partitions []*api.GroupPartition) func() histories.Call {
	if len(partitions) != 1 || partitions[0].GetTopic() == "" {
		return nil
	}
	return func() histories.Call {
		return histories.Call{
			Op: histories.FetchOffset, Group: group, Topic: partitions[0].GetTopic(), Partition: api.Partition(partitions[0].GetPartition()),
		}
	}
}
