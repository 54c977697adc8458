/** What an XDP program answers: `enum xdp_action` of include/uapi/linux/bpf.h. */
export const XDP = { aborted: 0, drop: 1, pass: 2, tx: 3, redirect: 4 } as const
