package core

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// call is one attempt under way: a request on a link that has no answer yet.
type call struct {
	id uint64
	to env.Endpoint
	// request is kept to see that the answer belongs to it.
	request *api.Request
	timer   timer
	// done runs once: with the node's response, or with one made here when none
	// came. It does not run after drop.
	done func(*api.Response)
}

// send makes an attempt. The request is encoded before send returns.
func (c *Client) send(to env.Endpoint, request *api.Request, timeout env.Time, done func(*api.Response)) *call {
	c.post(to, request)
	a := &call{id: request.Id, to: to, request: request, done: done}
	a.timer.fire = func() {
		c.end(a, failure(api.Code_TIMED_OUT, "no answer from %s in %d ms", to, timeout/env.Millisecond))
	}
	c.calls[a.id] = a
	c.timers.set(&a.timer, c.clock.Now()+timeout)
	return a
}

// post sends a request under a new id, without waiting for an answer.
func (c *Client) post(to env.Endpoint, request *api.Request) {
	c.lastCall++
	request.Id = c.lastCall
	c.network.Send(to, &api.Message{Body: &api.Message_Request{Request: request}})
}

// answer matches a response with its attempt. One that comes after its attempt
// was given up, or from another node, is dropped.
func (c *Client) answer(from env.Endpoint, response *api.Response) {
	a := c.calls[response.Id]
	if a == nil || a.to != from {
		return
	}
	if response.Error == nil && !fits(a.request, response) {
		response = failure(api.Code_DISCONNECTED, "%s sent an answer to another question", from)
	}
	c.end(a, response)
}

func (c *Client) end(a *call, response *api.Response) {
	c.drop(a)
	a.done(response)
}

// drop gives an attempt up without a word; it may still happen.
func (c *Client) drop(a *call) {
	delete(c.calls, a.id)
	c.timers.stop(&a.timer)
}

// failure is the response to an attempt that no node answered.
func failure(code api.Code, format string, args ...any) *api.Response {
	return &api.Response{Error: api.Errorf(code, format, args...)}
}

// fits reports whether a response without an error has the body that belongs to
// the request.
func fits(request *api.Request, response *api.Response) bool {
	switch request.Body.(type) {
	case *api.Request_Metadata:
		return response.GetMetadata() != nil
	case *api.Request_CreateTopic:
		return response.GetCreateTopic() != nil
	case *api.Request_AlterTopic:
		return response.GetAlterTopic() != nil
	case *api.Request_AddPartitions:
		return response.GetAddPartitions() != nil
	case *api.Request_DeleteTopic:
		return response.GetDeleteTopic() != nil
	case *api.Request_Produce:
		return response.GetProduce() != nil
	case *api.Request_Fetch:
		return response.GetFetch() != nil
	case *api.Request_ListOffsets:
		return response.GetListOffsets() != nil
	case *api.Request_DeleteRecords:
		return response.GetDeleteRecords() != nil
	case *api.Request_DescribeProducers:
		return response.GetDescribeProducers() != nil
	case *api.Request_InitProducer:
		given := response.GetInitProducer()
		return given.GetProducerId() > 0 && given.Epoch >= 0 && given.Epoch <= math.MaxInt16
	case *api.Request_MoveReplica:
		return response.GetMoveReplica() != nil
	case *api.Request_ElectLeader:
		return response.GetElectLeader() != nil
	case *api.Request_RemoveNode:
		return response.GetRemoveNode() != nil
	case *api.Request_DescribeNode:
		return response.GetDescribeNode() != nil
	}
	return fitsGroup(request, response) || fitsAccess(request, response)
}

// fitsGroup is fits for requests about consumer groups.
func fitsGroup(request *api.Request, response *api.Response) bool {
	switch body := request.Body.(type) {
	case *api.Request_JoinGroup:
		member := response.GetMembership().GetMember()
		return member != 0 && (body.JoinGroup.Member == 0 || body.JoinGroup.Member == member)
	case *api.Request_Beat:
		return response.GetMembership() != nil && response.GetMembership().Member == body.Beat.Member
	case *api.Request_LeaveGroup:
		return response.GetLeaveGroup() != nil
	case *api.Request_CommitOffsets:
		return response.GetCommitOffsets() != nil
	case *api.Request_FetchOffsets:
		told, asked := response.GetFetchOffsets(), len(body.FetchOffsets.Partitions)
		return told != nil && (asked == 0 || len(told.Offsets) == asked)
	case *api.Request_ResetOffsets:
		return response.GetResetOffsets() != nil
	case *api.Request_DeleteGroup:
		return response.GetDeleteGroup() != nil
	case *api.Request_DescribeGroup:
		return response.GetDescribeGroup() != nil
	case *api.Request_ListGroups:
		return response.GetListGroups() != nil
	}
	return false
}
