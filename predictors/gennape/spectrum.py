"""Spectra of graphs: how GENNAPE tells how alike two topologies are.

The smallest eigenvalues of the normalised Laplacian of the undirected graph (Mills et al., 2023, arXiv 2211.17226,
section on embeddings: 21 of them), compared by Euclidean distance.
"""

from itertools import pairwise

import numpy

from predictors.graph_batch import GraphBatch

NUM_EIGENVALUES = 21
_DENSE_NODES = 700  # below, all eigenvalues of a dense matrix are found faster than some of a sparse one


def laplacian_spectra(batch: GraphBatch, num_eigenvalues: int = NUM_EIGENVALUES) -> numpy.ndarray:
    """Smallest eigenvalues of each graph, ascending, (num_graphs, num_eigenvalues).

    Graphs with fewer nodes are filled with zeros. Equal topologies are computed once.
    """
    spectra = numpy.zeros((len(batch), num_eigenvalues))
    known: dict[bytes, numpy.ndarray] = {}
    bounds = numpy.searchsorted(batch.targets, batch.starts)
    for index, (begin, end) in enumerate(pairwise(bounds)):
        start, stop = batch.starts[index : index + 2]
        edges = numpy.stack([batch.sources[begin:end], batch.targets[begin:end]]) - start
        key = edges.tobytes()
        if key not in known:
            known[key] = _smallest(edges, int(stop - start), num_eigenvalues)
        spectra[index, : len(known[key])] = known[key]
    return spectra


def _smallest(edges: numpy.ndarray, num_nodes: int, count: int) -> numpy.ndarray:
    import scipy.linalg
    import scipy.sparse
    import scipy.sparse.linalg

    both = numpy.hstack([edges, edges[::-1]])
    matrix = scipy.sparse.csr_array((numpy.ones(both.shape[1]), both), shape=(num_nodes, num_nodes))
    matrix.data[:] = 1.0  # two edges between the same nodes count once
    laplacian = scipy.sparse.csgraph.laplacian(matrix, normed=True)
    if num_nodes <= _DENSE_NODES:
        last = min(count, num_nodes) - 1
        return scipy.linalg.eigh(laplacian.toarray(), eigvals_only=True, subset_by_index=[0, last])
    # Shifted beyond zero, so that the smallest eigenvalues are the first to converge and the matrix can be inverted.
    values = scipy.sparse.linalg.eigsh(
        laplacian.tocsc(), k=count, sigma=-0.01, v0=numpy.ones(num_nodes), return_eigenvectors=False
    )
    return numpy.sort(values).clip(0.0)
