package broker

import (
	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
)

// Users and ACLs stand in meta. Who may do what is decided where requests come in, from
// what this node says here; the node itself does whatever it is asked.

// AccessVersion is the version of Access; ok is false while the node knows no cluster yet.
func (n *Node) AccessVersion() (version uint64, ok bool) {
	return n.meta.state.Access().Version, n.Serves() && n.meta.informed()
}

// Access is users and ACLs as this node has applied them. Nothing changes what it holds.
func (n *Node) Access() access.View { return n.meta.state.Access() }

// ConfirmAccess calls done once Access is at least as new as this call, or with why that
// cannot be told.
func (n *Node) ConfirmAccess(done func(*api.Error)) {
	if n.failed != nil || !n.Serves() || !n.meta.informed() {
		done(api.Errorf(api.Code_NOT_READY, "the node is still recovering or joining; retry after a pause"))
		return
	}
	n.meta.group.replica.Read(func(err error) {
		if err != nil {
			done(n.unread(api.MetaGroup, err))
			return
		}
		done(nil)
	})
}

// describeAccess answers what asks for users or ACLs, as new as the question; false if q is
// something else.
func (n *Node) describeAccess(c caller, q *api.Request) bool {
	var answer func(access.View) *api.Response
	switch body := q.GetBody().(type) {
	case *api.Request_DescribeUsers:
		answer = describeUsers
	case *api.Request_DescribeAcls:
		filter := access.RuleOf(body.DescribeAcls.GetFilter())
		if e := filter.CheckFilter(); e != nil {
			n.refuse(c, e)
			return true
		}
		answer = func(v access.View) *api.Response { return describeAcls(v, filter) }
	default:
		return false
	}
	n.ConfirmAccess(func(e *api.Error) {
		if e != nil {
			n.refuse(c, e)
			return
		}
		n.reply(c, answer(n.Access()))
	})
	return true
}

func describeUsers(v access.View) *api.Response {
	out := &api.DescribeUsersResponse{}
	for _, u := range v.Users {
		out.Users = append(out.Users, &api.UserInfo{Name: u.Name, Iterations: int32(u.Iterations)})
	}
	return &api.Response{Body: &api.Response_DescribeUsers{DescribeUsers: out}}
}

func describeAcls(v access.View, filter access.Rule) *api.Response {
	out := &api.DescribeAclsResponse{}
	for _, r := range v.Rules {
		if filter.Fits(r) {
			out.Acls = append(out.Acls, r.Acl())
		}
	}
	return &api.Response{Body: &api.Response_DescribeAcls{DescribeAcls: out}}
}

// makeFirstUser has the cluster's first user made, while it has none.
func (n *Node) makeFirstUser() {
	if n.cfg.FirstUser == nil || !n.meta.informed() || len(n.Access().Users) > 0 {
		return
	}
	first := n.cfg.FirstUser
	n.tellMeta(&api.Request{Body: &api.Request_PutUser{PutUser: &api.PutUserRequest{
		Name: first.GetName(), Credential: first.GetCredential(), Decoy: first.GetDecoy(), Create: true,
	}}})
}
