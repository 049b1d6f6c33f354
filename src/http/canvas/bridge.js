(() => {
  const post = (given) => {
    const text = typeof given === 'string' ? given : JSON.stringify(given);
    const apple = window.webkit?.messageHandlers?.openclawCanvasA2UIAction;
    const taker = apple ?? window.openclawCanvasA2UIAction;
    if (typeof taker?.postMessage !== 'function') return false;
    taker.postMessage(text);
    return true;
  };
  const act = (action) => {
    const id = action?.id ?? Date.now().toString(36) + Math.random().toString(36).slice(2);
    return post({ userAction: { ...action, id } }) && id;
  };
  window.OpenClaw = { ...window.OpenClaw, postMessage: post, sendUserAction: act };
  window.openclawPostMessage = post;
  window.openclawSendUserAction = act;
})();
