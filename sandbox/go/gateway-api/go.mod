module tidegate.dev/sandbox/gateway-api

go 1.26.1

// Only for the definitions of its kinds. In a module of its own, since it asks for a newer Kubernetes.
require sigs.k8s.io/gateway-api v1.6.3
