package client

import (
	"context"
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/rpc"
)

// Errors of authentication and authorization. None of what they refuse has happened.
var (
	// ErrAuthentication: the node does not know who asks: the user or the password is wrong,
	// or none was given.
	ErrAuthentication error = &Error{Code: api.Code_SASL_AUTHENTICATION_FAILED}
	// ErrTopicAuthorization: no ACL allows it on the topic, or one denies it.
	ErrTopicAuthorization error = &Error{Code: api.Code_TOPIC_AUTHORIZATION_FAILED}
	// ErrGroupAuthorization: no ACL allows it on the group, or one denies it.
	ErrGroupAuthorization error = &Error{Code: api.Code_GROUP_AUTHORIZATION_FAILED}
	// ErrClusterAuthorization: no ACL allows it on the cluster, or one denies it.
	ErrClusterAuthorization error = &Error{Code: api.Code_CLUSTER_AUTHORIZATION_FAILED}
)

// CreateUser makes a user with a password. Only what nodes need to check it is sent.
func (c *Client) CreateUser(ctx context.Context, name, password string) error {
	return c.putUser(ctx, "create", name, password, true)
}

// AlterUser gives a user another password. Links that it has open under the old one end.
func (c *Client) AlterUser(ctx context.Context, name, password string) error {
	return c.putUser(ctx, "alter", name, password, false)
}

func (c *Client) putUser(ctx context.Context, what, name, password string, create bool) error {
	op := fmt.Sprintf("%s user %+q", what, name)
	q, err := rpc.NewUser(name, password)
	if err != nil {
		return &Error{Op: op, Code: api.Code_INVALID_REQUEST, Definite: true, Message: err.Error(), cause: err}
	}
	q.Create = create
	_, err = c.do(ctx, request{
		op:    op,
		start: func(timeout env.Time, done func(core.Result)) { c.core.PutUser(q, timeout, done) },
	})
	return err
}

// DeleteUser deletes a user and ends its links. Its ACLs stay.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	_, err := c.do(ctx, request{
		op:    fmt.Sprintf("delete user %+q", name),
		start: func(timeout env.Time, done func(core.Result)) { c.core.DeleteUser(name, timeout, done) },
	})
	return err
}

// DescribeUsers lists the users by name.
func (c *Client) DescribeUsers(ctx context.Context) ([]*api.UserInfo, error) {
	r, err := c.do(ctx, request{
		op:    "list the users",
		start: func(timeout env.Time, done func(core.Result)) { c.core.DescribeUsers(timeout, done) },
	})
	return r.Response.GetDescribeUsers().GetUsers(), err
}

// CreateAcls adds ACLs, all or none, at most 100 at once; those that are there stay.
func (c *Client) CreateAcls(ctx context.Context, acls ...*api.Acl) error {
	_, err := c.do(ctx, request{
		op:    fmt.Sprintf("add %d ACLs", len(acls)),
		start: func(timeout env.Time, done func(core.Result)) { c.core.CreateAcls(acls, timeout, done) },
	})
	return err
}

// DeleteAcls deletes every ACL that a filter fits, and gives those that it deleted.
func (c *Client) DeleteAcls(ctx context.Context, filters ...*api.Acl) ([]*api.Acl, error) {
	r, err := c.do(ctx, request{
		op:    "remove ACLs",
		start: func(timeout env.Time, done func(core.Result)) { c.core.DeleteAcls(filters, timeout, done) },
	})
	return r.Response.GetDeleteAcls().GetDeleted(), err
}

// DescribeAcls lists the ACLs that a filter fits; nil fits all.
func (c *Client) DescribeAcls(ctx context.Context, filter *api.Acl) ([]*api.Acl, error) {
	r, err := c.do(ctx, request{
		op:    "list the ACLs",
		start: func(timeout env.Time, done func(core.Result)) { c.core.DescribeAcls(filter, timeout, done) },
	})
	return r.Response.GetDescribeAcls().GetAcls(), err
}
