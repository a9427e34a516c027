// Command gateway-plugin is a traffic router for the Argo Rollouts controller: it writes a canary's weights into an
// HTTPRoute of the Gateway API, and adds and removes rules for header routes.
//
// It stands in for the official plugin and goes by its name, argoproj-labs/gatewayAPI, so that a team's manifests run as
// they are. Of its settings it knows httpRoute (or the names in httpRoutes) in the Rollout's own namespace.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
	"github.com/argoproj/argo-rollouts/utils/weightutil"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

const name = "argoproj-labs/gatewayAPI"

var routes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

func main() {
	go endWithParent()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "ARGO_ROLLOUTS_RPC_PLUGIN",
			MagicCookieValue: "trafficrouter",
		},
		Plugins: map[string]plugin.Plugin{"RpcTrafficRouterPlugin": &rpc.RpcTrafficRouterPlugin{Impl: &router{}}},
	})
}

// endWithParent waits until nobody reads our output any more. The sandbox kills the controller, which then cannot end us.
func endWithParent() {
	output := []unix.PollFd{{Fd: int32(os.Stdout.Fd())}}
	for {
		if n, err := unix.Poll(output, -1); n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			os.Exit(0)
		}
	}
}

type router struct{ client dynamic.Interface }

// settings are what a Rollout says below trafficRouting.plugins.
type settings struct {
	HTTPRoute  string `json:"httpRoute"`
	HTTPRoutes []struct {
		Name string `json:"name"`
	} `json:"httpRoutes"`
}

func (r *router) InitPlugin() types.RpcError {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err == nil {
		r.client, err = dynamic.NewForConfig(config)
	}
	return answer(err)
}

// SetWeight gives each rule that has both Services among its backends their weights.
func (r *router) SetWeight(ro *v1alpha1.Rollout, weight int32, _ []v1alpha1.WeightDestination) types.RpcError {
	canary := ro.Spec.Strategy.Canary
	weights := map[string]int64{
		canary.CanaryService: int64(weight),
		canary.StableService: int64(weightutil.MaxTrafficWeight(ro) - weight),
	}
	return r.change(ro, func(rules []any) ([]any, error) {
		found := false
		for _, rule := range rules {
			if isManaged(ro, rule) || backend(rule, canary.CanaryService) == nil || backend(rule, canary.StableService) == nil {
				continue
			}
			found = true
			for service, weight := range weights {
				backend(rule, service)["weight"] = weight
			}
		}
		if !found {
			return nil, fmt.Errorf("no rule with backends %q and %q", canary.StableService, canary.CanaryService)
		}
		return rules, nil
	})
}

// SetHeaderRoute adds a rule beside each weighted one, for its requests that carry the headers: to the canary. Without a
// match it removes them.
func (r *router) SetHeaderRoute(ro *v1alpha1.Rollout, route *v1alpha1.SetHeaderRoute) types.RpcError {
	headers, err := headerMatches(route.Match)
	if err != nil {
		return answer(err)
	}
	return r.change(ro, func(rules []any) ([]any, error) {
		rules = slices.DeleteFunc(rules, func(rule any) bool { return ruleName(rule) == route.Name })
		if len(headers) == 0 {
			return rules, nil
		}
		for _, rule := range rules {
			to := backend(rule, ro.Spec.Strategy.Canary.CanaryService)
			if to == nil || isManaged(ro, rule) {
				continue
			}
			added := runtime.DeepCopyJSON(rule.(map[string]any))
			to = runtime.DeepCopyJSON(to)
			delete(to, "weight")
			added["name"], added["backendRefs"] = route.Name, []any{to}
			matches, _ := added["matches"].([]any)
			if len(matches) == 0 {
				matches = []any{map[string]any{}}
			}
			for _, match := range matches {
				match := match.(map[string]any)
				own, _ := match["headers"].([]any)
				match["headers"] = slices.Concat(own, headers)
			}
			added["matches"] = matches
			return append(rules, added), nil
		}
		return nil, fmt.Errorf("no rule with backend %q", ro.Spec.Strategy.Canary.CanaryService)
	})
}

// RemoveManagedRoutes removes the rules that SetHeaderRoute added.
func (r *router) RemoveManagedRoutes(ro *v1alpha1.Rollout) types.RpcError {
	return r.change(ro, func(rules []any) ([]any, error) {
		return slices.DeleteFunc(rules, func(rule any) bool { return isManaged(ro, rule) }), nil
	})
}

// SetMirrorRoute is not offered: said aloud, since a mirror that was asked for and is not there would judge nothing.
func (r *router) SetMirrorRoute(*v1alpha1.Rollout, *v1alpha1.SetMirrorRoute) types.RpcError {
	return answer(errors.New("the sandbox's Gateway API router has no mirror routes"))
}

func (r *router) UpdateHash(*v1alpha1.Rollout, string, string, []v1alpha1.WeightDestination) types.RpcError {
	return types.RpcError{}
}

func (r *router) VerifyWeight(*v1alpha1.Rollout, int32, []v1alpha1.WeightDestination) (types.RpcVerified, types.RpcError) {
	return types.NotImplemented, types.RpcError{}
}

func (r *router) Type() string { return name }

// change rewrites the rules of the Rollout's HTTPRoutes; where nothing is different, nothing is sent. An update carries the
// version that was read, so that it cannot undo what somebody wrote meanwhile: the controller asks again.
func (r *router) change(ro *v1alpha1.Rollout, edit func([]any) ([]any, error)) types.RpcError {
	var told settings
	if err := json.Unmarshal(ro.Spec.Strategy.Canary.TrafficRouting.Plugins[name], &told); err != nil {
		return answer(fmt.Errorf("trafficRouting.plugins[%s]: %w", name, err))
	}
	names := []string{}
	if told.HTTPRoute != "" {
		names = append(names, told.HTTPRoute)
	}
	for _, route := range told.HTTPRoutes {
		names = append(names, route.Name)
	}
	if len(names) == 0 {
		return answer(fmt.Errorf("trafficRouting.plugins[%s] names no httpRoute", name))
	}
	api, ctx := r.client.Resource(routes).Namespace(ro.Namespace), context.Background()
	for _, name := range names {
		route, err := api.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return answer(err)
		}
		before, _, err := unstructured.NestedSlice(route.Object, "spec", "rules")
		if err != nil {
			return answer(err)
		}
		after, err := edit(runtime.DeepCopyJSONValue(before).([]any))
		if err != nil {
			return answer(fmt.Errorf("HTTPRoute %q: %w", name, err))
		}
		if reflect.DeepEqual(before, after) {
			continue
		}
		if err := unstructured.SetNestedSlice(route.Object, after, "spec", "rules"); err != nil {
			return answer(err)
		}
		if _, err := api.Update(ctx, route, metav1.UpdateOptions{FieldManager: "rollouts-gateway"}); err != nil {
			return answer(err)
		}
	}
	return types.RpcError{}
}

// backend is a rule's reference to a Service.
func backend(rule any, service string) map[string]any {
	refs, _ := rule.(map[string]any)["backendRefs"].([]any)
	for _, ref := range refs {
		if ref, ok := ref.(map[string]any); ok && ref["name"] == service {
			return ref
		}
	}
	return nil
}

func ruleName(rule any) any { return rule.(map[string]any)["name"] }

// isManaged says whether a rule is one that a step of this Rollout added.
func isManaged(ro *v1alpha1.Rollout, rule any) bool {
	return slices.ContainsFunc(ro.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes,
		func(route v1alpha1.MangedRoutes) bool { return ruleName(rule) == route.Name })
}

func headerMatches(wanted []v1alpha1.HeaderRoutingMatch) ([]any, error) {
	var headers []any
	for _, match := range wanted {
		header := map[string]any{"name": match.HeaderName}
		switch value := match.HeaderValue; {
		case value == nil || value.Prefix != "":
			return nil, fmt.Errorf("header %q: an HTTPRoute matches exact values and regular expressions", match.HeaderName)
		case value.Regex != "":
			header["type"], header["value"] = "RegularExpression", value.Regex
		default:
			header["type"], header["value"] = "Exact", value.Exact
		}
		headers = append(headers, header)
	}
	return headers, nil
}

func answer(err error) types.RpcError {
	if err == nil {
		return types.RpcError{}
	}
	return types.RpcError{ErrorString: err.Error()}
}
