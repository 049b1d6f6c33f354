document.title='x';export {}
